import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { CniOutcome } from '../support/cni.ts';
import { shWords } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// What somebody may put where the plugin looks, and what others may read of what it makes.

const conf = {
  cniVersion: '1.1.0',
  name: 'planted',
  type: 'tsbridge',
  bridge: 'plt0',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.61.0.0/24' }]], sticky: true },
};
const store = '/var/lib/cni/networks/planted';
const args = 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web';
/** Much less than anything that would wait. */
const timeoutMs = 8000;

/** The words before a command that is to ignore every signal that can be, libc's own two (32 and 33) included. */
const ignoringSignals = [
  process.execPath,
  '--no-warnings',
  '-e',
  `const { DynamicLibrary } = require('node:ffi');
  const syscall = new DynamicLibrary('libc.so.6').getFunction('syscall', { arguments: ['i32', 'i32', 'buffer', 'pointer', 'u64'], return: 'i64' });
  const ignore = new BigUint64Array([1n, 0n, 0n, 0n]);
  for (let signal = 1; signal <= 64; signal++) syscall(process.arch === 'arm64' ? 134 : 13, signal, ignore, 0n, 8n);
  process.execve(process.argv[1], process.argv.slice(1), process.env);`,
];

/** Every file name that the plugin knows, and what it makes of a thing in its place: an attachment, or an error. */
const names = [
  'lock',
  'last_reserved_ip.0',
  '10.61.0.2',
  '.tsbridge',
  '.tsbridge/new',
  '.tsbridge/swap',
  '.tsbridge/sticky',
  '.tsbridge/unsteady',
];

/** Things that are no file of the plugin's: how each is put at a path. `victim` must be as it was afterwards. */
const things: Record<string, (path: string) => string> = {
  'a link to a file': (path) => `ln -s /run/victim/precious ${path}`,
  'a link to a directory': (path) => `ln -s /run/victim ${path}`,
  'a link that leads nowhere': (path) => `ln -s /run/victim/new ${path}`,
  'a FIFO': (path) => `mkfifo ${path}`,
  'a FIFO that somebody holds open': (path) => `mkfifo ${path}; sleep 5 <>${path} >/dev/null 2>&1 & sleep 0.05`,
  'a disk': (path) => `mknod ${path} b 7 77`,
  'a device that takes everything': (path) => `mknod ${path} c 1 3`,
  'a device that has no end': (path) => `mknod ${path} c 1 5`,
  'a directory': (path) => `mkdir ${path}; echo precious >${path}/inside`,
  'a socket': (path) => `python3 -c 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' ${path}`,
};

/** It succeeded, or said which file of the store is in the way. */
const isSound = ({ status, json }: CniOutcome): boolean =>
  status === 0 || (json?.code === 5 && json.msg.includes(store));

for (const build of builds) {
  t.test(
    `${build.name}: whatever is planted in the store: nothing is waited for, written through or removed`,
    { skip: missing() },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['sh', '-c', 'mkdir /run/victim; echo precious >/run/victim/precious']);
      const victim = () => host.run(['sh', '-c', 'cd /run/victim; ls -lA; cat precious']);
      const before = victim();
      for (const [what, plant] of Object.entries(things)) {
        // Both builds share the code of the store: what is slower shows less.
        for (const name of build.name === 'pkg' ? names.slice(0, 4) : names) {
          const pod = host.container();
          const call = { container: pod, conf, args, timeoutMs };
          host.run([
            'sh',
            '-c',
            `rm -rf ${store}; mkdir -p ${store}${name.includes('/') ? '/.tsbridge' : ''}; ${plant(`${store}/${name}`)}`,
          ]);
          const added = host.cni({ command: 'ADD', ...call });
          const where = `${what} as ${name}`;
          t.ok(isSound(added), `${where}: ADD: ${added.stdout}`);
          if (added.status === 0)
            t.equal(host.cni({ command: 'CHECK', ...call, prevResult: added.json }).stdout, '', `${where}: CHECK`);
          t.equal(host.cni({ command: 'STATUS', conf, timeoutMs }).signal, null, `${where}: STATUS comes to an end`);
          const collected = host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': [] }, timeoutMs });
          t.ok(isSound(collected), `${where}: GC: ${collected.stdout}`);
          const deleted = host.cni({ command: 'DEL', ...call });
          t.ok(isSound(deleted), `${where}: DEL: ${deleted.stdout}`);
          t.equal(victim(), before, `${where}: what the link leads to is as it was`);
          if (what === 'a directory')
            t.equal(
              host.run(['sh', '-c', `cat ${store}/${name}/inside || cat ${store}/*/inside`]),
              'precious\n',
              where,
            );
          pod.remove();
        }
      }
      host.run(['rm', '-rf', store]);
      t.strictSame(host.leftovers(), []);
    },
  );

  t.test(`${build.name}: what it makes is its owner's alone, whatever the umask`, { skip: missing() }, async (t) => {
    for (const [umask, most] of [
      ['000', 0o777],
      ['022', 0o755],
      ['077', 0o700],
      ['777', 0],
    ] as const) {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const wrapper = ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh'];
      const logged = { ...conf, logLevel: 'debug', logFile: '/run/tsbridge.log', ipMasq: true };
      const added = host.cni({ command: 'ADD', container: pod, conf: logged, args, wrapper });
      t.equal(added.status, 0, `umask ${umask}: ${added.stdout}`);
      const modes = (path: string): Record<string, number> => {
        const found = lstatSync(host.outer(path));
        if (found.isSymbolicLink()) return {};
        const below = found.isDirectory() ? readdirSync(host.outer(path)).map((name) => modes(join(path, name))) : [];
        return Object.assign({ [path]: found.mode & 0o777 }, ...below);
      };
      /** Of the reference plugin: 0755 and 0750 for what holds nothing but names, 0600 for what it writes. */
      const expected = (path: string) =>
        path === store || path === '/var/lib/cni/networks'
          ? 0o755
          : path === `${store}/lock`
            ? 0o750
            : path.endsWith('.tsbridge') || path.endsWith('sticky') || path === '/run/tsbridge'
              ? 0o700
              : 0o600;
      const all = { ...modes('/var/lib/cni/networks'), ...modes('/run/tsbridge'), ...modes('/run/tsbridge.log') };
      t.ok(Object.keys(all).length > 6, Object.keys(all).join());
      for (const [path, mode] of Object.entries(all))
        t.equal(mode.toString(8), (expected(path) & most).toString(8), `umask ${umask}: ${path}`);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: logged, args, wrapper }).stdout, '');
      t.strictSame(host.leftovers(), []);
    }
  });

  t.test(
    `${build.name}: a name that leads out of its place is refused, and nothing is made`,
    { skip: missing() },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      for (const bad of ['../x', '..', '.', 'a/b', '/etc', 'a\0b', '-x', '.x', 'a b', 'a\nb', 'é', '']) {
        const named = host.cni({ command: 'ADD', container: pod, conf: { ...conf, name: bad } });
        t.equal(named.json?.code, 7, `name ${JSON.stringify(bad)}: ${named.stdout}`);
        if (!bad.includes('\0')) {
          const identified = host.cni({ command: 'ADD', container: pod, containerID: bad, conf });
          t.equal(identified.json?.code, 4, `containerID ${JSON.stringify(bad)}: ${identified.stdout}`);
        }
        if (!['é', '-x', '.x'].includes(bad) && !bad.includes('\0')) {
          const ifname = host.cni({ command: 'ADD', container: pod, ifname: bad, conf });
          t.equal(ifname.json?.code, 4, `ifname ${JSON.stringify(bad)}: ${ifname.stdout}`);
        }
        if (bad.includes('/') || bad.startsWith('..') || bad.includes('\0')) {
          for (const type of [bad, `../${bad}`]) {
            const typed = host.cni({ command: 'ADD', container: pod, conf: { ...conf, ipam: { type } } });
            t.ok([4, 7].includes(typed.json?.code), `ipam.type ${JSON.stringify(type)}: ${typed.stdout}`);
          }
        }
      }
      t.strictSame(
        host.run(['sh', '-c', 'ls -A /var/lib/cni /run/tsbridge 2>/dev/null || true']).trim(),
        '/var/lib/cni:',
      );
      t.strictSame(host.leftovers(), []);
    },
  );

  t.test(
    `${build.name}: no descriptor of the runtime, and none of its own, gets to a plugin that it runs`,
    { skip: missing() },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const delegate = host.outer('/run/cni/bin/spy');
      writeFileSync(
        delegate,
        '#!/bin/sh\nfor fd in /proc/self/fd/*; do readlink "$fd" >>/run/seen || true; done\necho \'{"cniVersion":"1.0.0","ips":[{"address":"10.61.0.9/24"}]}\'\n',
      );
      chmodSync(delegate, 0o755);
      writeFileSync(host.outer('/run/secret'), 'secret');
      const added = host.cni({
        command: 'ADD',
        container: pod,
        conf: { ...conf, ipMasq: true, ipam: { type: 'spy' } },
        wrapper: ['sh', '-c', 'exec "$@" 3</run/secret 9</run/secret', 'sh'],
      });
      t.equal(added.status, 0, added.stdout);
      const seen = readFileSync(host.outer('/run/seen'), 'utf8').split('\n').filter(Boolean);
      // The shell's own: the script that it reads, and the directory that `*` lists.
      const strange = seen.filter(
        (one) => !/^(pipe:|socket:|\/run\/cni\/bin\/spy|\/run\/seen|\/proc\/\d+\/fd|\/dev\/null)/.test(one),
      );
      t.strictSame(strange, [], seen.join());
    },
  );

  t.test(
    `${build.name}: a plugin that it runs finds no signal ignored or blocked, whatever the runtime has done with them`,
    { skip: missing() },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const delegate = host.outer('/run/cni/bin/spy');
      writeFileSync(
        delegate,
        '#!/bin/sh\ngrep -E "^Sig(Blk|Ign)" /proc/self/status >/run/seen\necho \'{"cniVersion":"1.0.0","ips":[{"address":"10.61.0.9/24"}]}\'\n',
      );
      chmodSync(delegate, 0o755);
      const added = host.cni({
        command: 'ADD',
        container: host.container(),
        conf: { ...conf, ipam: { type: 'spy' } },
        wrapper: ignoringSignals,
      });
      t.equal(added.status, 0, added.stdout);
      t.equal(
        readFileSync(host.outer('/run/seen'), 'utf8'),
        `SigBlk:\t${'0'.repeat(16)}\nSigIgn:\t${'0'.repeat(16)}\n`,
      );
    },
  );

  t.test(`${build.name}: lines of a log are the plugin's own`, { skip: missing() }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const pod = host.container();
    const forged = '\n{"level":"info","msg":"forged"}\n\u001b[2J\u2028';
    const odd = { ...conf, logLevel: 'debug', [`x${forged}`]: 1, ipMasqBackend: `nft${forged}` };
    for (const logFile of [undefined, `/run/none/${forged}`]) {
      for (const command of ['ADD', 'DEL'] as const) {
        const { stderr, stdout } = host.cni({
          command,
          container: pod,
          conf: { ...odd, ...(logFile ? { logFile } : {}) },
          args: `K8S_POD_NAMESPACE=a;K8S_POD_NAME=b${forged}`,
        });
        for (const line of `${stderr}`.split('\n').filter(Boolean)) {
          t.match(line, /^(\{"level":"\w+","time":|tsbridge: )/, `${command}: ${JSON.stringify(line)}`);
          t.notMatch(line, /"msg":"forged"/);
        }
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        t.notMatch(stderr + stdout, /[\x00-\x09\x0b-\x1f\x7f]/, 'nothing that steers a terminal');
      }
    }
    for (const words of [
      ['leases', `a${forged}`],
      ['status', `/run/none${forged}`],
      [`frob${forged}`],
      ['leases', '--subnet', forged],
    ]) {
      const { stderr, status } = host.attempt([build.path, ...words]);
      t.ok(status !== 0);
      t.notMatch(stderr, /^\{/m, shWords(words));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      t.notMatch(stderr, /[\x00-\x09\x0b-\x1f\x7f]/);
    }
    mkdirSync(host.outer(store), { recursive: true });
    writeFileSync(host.outer(`${store}/10.61.0.77`), `pod\u001b[2J\r\neth0\u0007`);
    const { stdout } = host.attempt([build.path, 'leases']);
    t.match(stdout, /10\.61\.0\.77 {2}pod\\u001b\[2J/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    t.notMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f]/);
  });
}
