import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'locked',
  type: 'tsbridge',
  bridge: 'lk0',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};

const directory = '/run/tsbridge';
const lockOf = (host: Host) => `${directory}/bridges.${statSync(host.netns).ino}.lock`;

/** Holds a flock on a file of the host for as long as the returned function is not called. */
async function hold(host: Host, file: string, asUser?: string) {
  const user = asUser ? ['setpriv', `--reuid=${asUser}`, `--regid=${asUser}`, '--clear-groups', '--'] : [];
  const held = host.start([
    ...user,
    'sh',
    '-c',
    `exec flock --no-fork ${file} sh -c 'echo held >/run/held/it; exec sleep 60'`,
  ]);
  for (let i = 0; i < 100 && !existsSync(host.outer('/run/held/it')); i++)
    await new Promise((go) => setTimeout(go, 20));
  return { is: existsSync(host.outer('/run/held/it')), end: () => held.kill('SIGKILL') };
}

for (const build of builds) {
  t.test(`${build.name}: the lock of the bridges`, { skip: missing('flock', 'setpriv') }, async (t) => {
    t.test('is a file that only root can open, of one namespace', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.equal(statSync(host.outer(directory)).mode & 0o777, 0o700);
      t.strictSame(
        readdirSync(host.outer(directory)).map((name) => `${directory}/${name}`),
        [lockOf(host)],
      );
      const file = statSync(host.outer(lockOf(host)));
      t.strictSame([file.mode & 0o777, file.uid, file.isFile()], [0o600, 0, true]);
    });

    t.test('what an ordinary user can open and lock stops nobody', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      mkdirSync(host.outer('/run/held'));
      chmodSync(host.outer('/run/held'), 0o777);
      const held = await hold(host, '/proc/self/ns/net', '65534');
      t.ok(held.is, "the user holds the namespace's own file");
      const { status, stdout } = host.cni({ command: 'ADD', container: host.container(), conf });
      t.equal(status, 0, stdout);
      const other = host.attempt([
        'setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '--',
        'cat',
        lockOf(host),
      ]);
      t.match(other.stderr, /Permission denied/);
      held.end();
    });

    t.test('who holds it too long is named', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      mkdirSync(host.outer('/run/held'));
      mkdirSync(host.outer(directory), { mode: 0o700 });
      writeFileSync(host.outer(lockOf(host)), '', { mode: 0o600 });
      const held = await hold(host, lockOf(host));
      t.ok(held.is);
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf });
      t.match(json, {
        code: 11,
        msg: /bridges were locked/,
        details: /process \d+ \(.*\) holds \/run\/tsbridge\/bridges/,
      });
      t.strictSame(host.leftovers(), []);
      held.end();
    });

    t.test('another namespace that sees the same /run has a lock of its own', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      mkdirSync(host.outer('/run/held'));
      mkdirSync(host.outer(directory), { mode: 0o700 });
      writeFileSync(host.outer(lockOf(host)), '', { mode: 0o600 });
      const held = await hold(host, lockOf(host));
      t.ok(held.is);
      const pod = host.container();
      const { status, stdout } = host.cni({
        command: 'ADD',
        container: pod,
        conf,
        wrapper: ['unshare', '--net', '--'],
      });
      t.equal(status, 0, stdout);
      t.equal(readdirSync(host.outer(directory)).length, 2);
      held.end();
    });

    for (const [title, prepare] of [
      ['a link in the place of the file', (host: Host) => symlinkSync('/run/elsewhere', host.outer(lockOf(host)))],
      ['a FIFO in the place of the file', (host: Host) => host.run(['mkfifo', '-m', '600', lockOf(host)])],
      ['a file that others may open', (host: Host) => writeFileSync(host.outer(lockOf(host)), '', { mode: 0o644 })],
      ["a directory that is somebody else's", (host: Host) => host.run(['chown', '65534', directory])],
      [
        'a link in the place of the directory',
        (host: Host) => {
          rmSync(host.outer(directory), { recursive: true });
          symlinkSync('/run/elsewhere', host.outer(directory));
        },
      ],
    ] as const) {
      t.test(`${title} is not used, and stops nobody`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        mkdirSync(host.outer(directory), { mode: 0o700 });
        mkdirSync(host.outer('/run/elsewhere'));
        prepare(host);
        const log = { logFile: '/run/log', logLevel: 'debug' };
        const { status, stdout } = host.cni({ command: 'ADD', container: host.container(), conf: { ...conf, ...log } });
        t.equal(status, 0, stdout);
        t.match(host.run(['cat', '/run/log']), /the network namespace is locked itself/);
        t.strictSame(readdirSync(host.outer('/run/elsewhere')), []);
        t.ok(lstatSync(host.outer(directory)));
      });
    }

    t.test('without a /run that can be written, two still keep clear of each other', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      host.run(['mount', '-o', 'remount,ro', '/run']);
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      t.notOk(existsSync(host.outer(directory)));
    });

    t.test('in a user namespace whose /run belongs to the machine', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['chmod', '755', '/run']);
      host.run(['mkdir', '-p', '-m', '777', '/run/user']);
      const script = `
        mkdir /run/user/cni
        unshare --net sh -c 'echo >/run/user/up; exec sleep 20' & pod=$!
        while [ ! -e /run/user/up ]; do sleep 0.1; done
        CNI_COMMAND=ADD CNI_CONTAINERID=a CNI_NETNS=/proc/$pod/ns/net CNI_IFNAME=eth0 CNI_PATH=/x ${build.path} </run/user/conf
        status=$?
        kill $pod
        exit $status`;
      writeFileSync(
        host.outer('/run/user/conf'),
        JSON.stringify({ ...conf, isGateway: false, ipam: { ...conf.ipam, dataDir: '/run/user/cni' } }),
      );
      const { status, stdout, stderr } = host.attempt([
        'setpriv',
        '--reuid=1000',
        '--regid=1000',
        '--clear-groups',
        '--',
        'unshare',
        '--user',
        '--map-root-user',
        '--net',
        'sh',
        '-c',
        script,
      ]);
      t.equal(status, 0, stdout + stderr);
      t.notOk(existsSync(host.outer(directory)));
    });
  });
}
