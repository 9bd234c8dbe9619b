import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// Kernels, file systems and rights that are not the usual ones: it works, or says what is in the way and what to do.

const conf = {
  cniVersion: '1.1.0',
  name: 'odd',
  type: 'tsbridge',
  bridge: 'odd0',
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00:1::/64' }]] },
};
const dataDir = '/var/lib/cni/networks';

/** Where a call is made: what is done to the host before, the words that it is started by, and what comes of it. */
interface Place {
  sentence: string;
  before?: string;
  words?: readonly string[];
  /** Undefined: an attachment. */
  expect?: { code: number; msg: RegExp; details: RegExp };
  skip?: boolean;
}

const without = (capability: string) => ['setpriv', '--bounding-set', `-${capability}`, '--inh-caps', `-${capability}`];

/** What libseccomp may let through, as systemd writes it. */
const groups = ['@system-service', '@network-io', '@mount'];

function systemCalls(): string[] {
  const { stdout } = spawnSync('systemd-analyze', ['syscall-filter'], { encoding: 'utf8' });
  const members = new Map<string, string[]>();
  let group: string[] = [];
  for (const line of `${stdout}`.split('\n')) {
    const word = line.trim();
    if (line.startsWith('@')) {
      group = [];
      members.set(word, group);
    } else if (word !== '' && !word.startsWith('#')) group.push(word);
  }
  const expand = (name: string): string[] =>
    name.startsWith('@') ? (members.get(name) ?? []).flatMap(expand) : [name];
  return [...new Set([...groups, '@default'].flatMap(expand))];
}

/** Words that run others where only these system calls do anything: every other is EPERM. */
const filtered = (allowed: readonly string[]): string[] => [
  process.execPath,
  '--no-warnings',
  '-e',
  `const { DynamicLibrary } = require('node:ffi');
  const lib = new DynamicLibrary('libseccomp.so.2');
  const init = lib.getFunction('seccomp_init', { arguments: ['u32'], return: 'pointer' });
  const resolve = lib.getFunction('seccomp_syscall_resolve_name', { arguments: ['string'], return: 'i32' });
  const add = lib.getFunction('seccomp_rule_add_array', { arguments: ['pointer', 'u32', 'i32', 'u32', 'pointer'], return: 'i32' });
  const load = lib.getFunction('seccomp_load', { arguments: ['pointer'], return: 'i32' });
  const filter = init(0x00050001); // SCMP_ACT_ERRNO(EPERM)
  for (const name of process.argv[1].split(',')) add(filter, 0x7fff0000, resolve(name), 0, 0n);
  if (load(filter) !== 0) process.exit(77);
  process.execve(process.argv[2], process.argv.slice(2), process.env);`,
  allowed.join(','),
];

const hasSeccomp = existsSync('/usr/bin/systemd-analyze') && existsSync('/usr/lib/x86_64-linux-gnu/libseccomp.so.2');

/** A bridge with so many ports, by pairs of which both ends are one. */
const ports = (count: number) =>
  `ip link add odd0 type bridge; i=0; { while [ $((i += 1)) -le ${count >> 1} ]; do echo "link add a$i master odd0 type veth peer name b$i"; echo "link set b$i master odd0"; done; ${count % 2 ? 'echo link add last master odd0 type veth peer name other;' : ''} } | ip -batch -`;

const places: Place[] = [
  { sentence: 'the store on a tmpfs', before: `mkdir -p ${dataDir}; mount -t tmpfs store ${dataDir}` },
  {
    sentence: 'the store on an overlay file system',
    before: `mkdir -p ${dataDir} /run/o/lower /run/o/upper /run/o/work; mount -t overlay -o lowerdir=/run/o/lower,upperdir=/run/o/upper,workdir=/run/o/work store ${dataDir}`,
  },
  {
    sentence: 'the store on a file system that is mounted read-only',
    before: `mkdir -p ${dataDir}; mount -t tmpfs -o ro store ${dataDir}`,
    expect: {
      code: 5,
      msg: /^cannot \w+ \/var\/lib\/cni\/networks\/odd.*: EROFS$/,
      details: /mounted read-only: remount/,
    },
  },
  {
    sentence: 'a bridge with 1022 ports',
    before: ports(1022),
  },
  {
    sentence: 'a bridge with 1023 ports',
    before: ports(1023),
    expect: { code: 100, msg: /^the kernel refused ".*odd0.*": E/, details: /a bridge has room for/ },
  },
  {
    sentence: 'without CAP_NET_ADMIN',
    words: without('net_admin'),
    expect: { code: 100, msg: /EPERM|Operation not permitted/, details: /CAP_NET_ADMIN in the namespace/ },
  },
  {
    sentence: 'without CAP_SYS_ADMIN',
    words: without('sys_admin'),
    expect: { code: 4, msg: /^CNI_NETNS: cannot enter/, details: /needs root, or CAP_SYS_ADMIN/ },
  },
  {
    sentence: 'in a user namespace that has no rights in the host',
    words: ['unshare', '--user', '--map-root-user'],
    expect: { code: 4, msg: /^CNI_NETNS: cannot enter/, details: /needs root, or CAP_SYS_ADMIN/ },
  },
  {
    sentence: 'a read-only /proc/sys, where forwarding is off',
    words: [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys; exec "$@"',
      'sh',
    ],
    expect: { code: 100, msg: /sysctl.*EROFS/, details: /\/proc\/sys is mounted read-only/ },
  },
  {
    sentence: "systemd's SystemCallFilter=@system-service @network-io @mount",
    words: hasSeccomp ? filtered(systemCalls()) : [],
    skip: !hasSeccomp,
  },
];

/** ADD, pings, CHECK and DEL; prints the leases that there were, and whatever is left. */
const ofItsOwn = `
mount -t tmpfs run /run
mount -t tmpfs var-lib /var/lib
mkdir -p /run/netns
ip link set lo up
ip netns add pod
conf='${JSON.stringify({ ...conf, macspoofchk: true, capabilities: { portMappings: true }, runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } })}'
call() {
  printf %s "$conf" | CNI_COMMAND=$1 CNI_CONTAINERID=pod CNI_NETNS=/run/netns/pod CNI_IFNAME=eth0 CNI_PATH=/none "$plugin"
}
plugin=$1
call ADD >/run/result
for gateway in 10.1.0.1 fd00:1::1; do ip netns exec pod ping -n -q -c1 -w10 $gateway >/dev/null; done
echo $(cd ${dataDir}/odd && ls | grep -E '^[0-9a-f]+[.:]')
conf="$(printf %s "$conf" | sed 's/}$//'),\\"prevResult\\":$(cat /run/result)}"
call CHECK
call DEL
ls ${dataDir}/odd | grep -E '^[0-9a-f]+[.:]' || true
ip -br link show type veth
nft list ruleset | grep 'elements' || true`;

/** But for the ports that were there before. */
const left = (host: Host) => host.leftovers().filter((one) => !/^veth (?:[ab]\d+|last|other)$/.test(one));

for (const build of builds) {
  t.test(`${build.name}: odd places`, { skip: missing('nft', 'setpriv') }, async (t) => {
    for (const { sentence, before, words = [], expect, skip } of places) {
      t.test(sentence, { skip: skip === true && 'NOT RUN: systemd-analyze or libseccomp is not there' }, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        if (before) host.run(['sh', '-ec', before]);
        const pod = host.container();
        const call = { container: pod, conf };
        const added = host.cni({ command: 'ADD', ...call, wrapper: [...words] });
        if (expect) {
          t.match(added.json, expect, added.stdout || added.stderr);
          t.equal(pod.ip('link', 'show').length, 1, 'the pod has nothing');
          t.strictSame(left(host), [], 'nothing is left');
          t.equal(host.cni({ command: 'DEL', ...call }).status, 0);
        } else {
          t.equal(added.status, 0, added.stdout || added.stderr);
          t.ok(pod.canReach('10.1.0.1'));
          t.equal(host.cni({ command: 'CHECK', ...call, prevResult: added.json, wrapper: [...words] }).stdout, '');
          t.equal(host.cni({ command: 'GC', ...call, wrapper: [...words] }).stdout, '');
          t.equal(host.cni({ command: 'DEL', ...call, wrapper: [...words] }).stdout, '');
          t.strictSame(left(host), []);
        }
      });
    }
  });

  t.test(`${build.name}: in a user namespace with a network of its own`, { skip: missing('nft') }, async (t) => {
    // Root in there only: SO_SNDBUFFORCE, modules and whatever else asks for rights in the initial namespace are refused.
    const words = ['--user', '--map-root-user', '--net', '--mount', '--propagation', 'private', 'sh', '-ec', ofItsOwn];
    const { status, stdout, stderr } = spawnSync('unshare', [...words, 'sh', build.path], { encoding: 'utf8' });
    t.strictSame([status, stdout.trim()], [0, '10.1.0.2 fd00:1::2'], stderr);
  });
}
