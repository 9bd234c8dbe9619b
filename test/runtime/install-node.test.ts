/** scripts/install-node in a directory tree, run by busybox: a node has no Node.js and maybe no bash. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { attempt } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { Chain } from './chain.ts';
import { leftBehind } from './left-behind.ts';
import { NodeTree } from './node-tree.ts';
import { onePlugin } from './plugin.ts';

const script = fileURLToPath(new URL('../../scripts/install-node', import.meta.url));
const needed = { skip: missing('busybox', 'chroot') };
const conflist = 'etc/cni/net.d/10-tsbridge.conflist';

/** A node with the script and an executable in /src. */
function nodeOf(t: Test) {
  const tree = new NodeTree(t);
  mkdirSync(tree.path('src'));
  copyFileSync(script, tree.path('src/install-node'));
  writeFileSync(tree.path('src/tsbridge'), 'executable 1\n', { mode: 0o644 });
  const install = (...words: string[]) =>
    attempt(['chroot', tree.root, '/bin/env', '-i', 'PATH=/bin', 'sh', '/src/install-node', ...words]);
  return { tree, install };
}

t.test('install-node writes the executable and a network of the given ranges', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const { status, stdout, stderr } = install(
    ...['--pod-cidr', '10.244.1.0/24,fd00:10:244:1::/64', '--cluster-cidr', '10.244.0.0/16,fd00:10:244::/48'],
    ...['--mtu', '1450', '--bridge', 'br-pods'],
  );
  t.strictSame(
    { status, stdout, stderr },
    { status: 0, stdout: `/opt/cni/bin/tsbridge\n/${conflist}\n`, stderr: '' },
    'it says what it wrote',
  );
  t.equal(tree.files()['opt/cni/bin/tsbridge'], '755 executable 1\n', 'the executable is there, and executable');
  t.strictSame(JSON.parse(readFileSync(tree.path(conflist), 'utf8')), {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'tsbridge',
        bridge: 'br-pods',
        isDefaultGateway: true,
        hairpinMode: true,
        mtu: 1450,
        ipMasq: true,
        nonMasqueradeCIDRs: ['10.244.0.0/16', 'fd00:10:244::/48'],
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
});

t.test('install-node asks kubectl for the node’s pod ranges', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  // Answers as kubectl 1.32 does: the template's output without a newline.
  tree.program(
    'bin/kubectl',
    `case "$*" in
    "get node worker-1 -o jsonpath={.spec.podCIDRs[*]}") printf '10.244.3.0/24 fd00:10:244:3::/64' ;;
    "get node bare -o jsonpath={.spec.podCIDRs[*]}") ;;
    *) echo 'Error from server (NotFound): nodes "x" not found' >&2; exit 1 ;;
    esac`,
  );
  t.equal(install('--node', 'worker-1').status, 0);
  t.strictSame(
    JSON.parse(readFileSync(tree.path(conflist), 'utf8')).plugins[0].ipam.ranges,
    [[{ subnet: '10.244.3.0/24' }], [{ subnet: 'fd00:10:244:3::/64' }]],
    'both ranges',
  );
  t.match(install('--node', 'bare').stderr, /node bare has no pod range: .*--pod-network-cidr/, 'a node without one');
  t.match(install('--node', 'other').stderr, /kubectl does not know node other/, 'an unknown node');
});

t.test('install-node twice is as once, and --uninstall puts back what was there', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  writeFileSync(tree.path('opt/cni/bin/tsbridge'), 'an older one\n', { mode: 0o700 });
  writeFileSync(tree.path(conflist), '{"name":"mine"}\n', { mode: 0o600 });
  writeFileSync(tree.path('etc/cni/net.d/99-other.conflist'), '{}\n');
  const before = tree.files();
  t.equal(install('--pod-cidr', '10.244.1.0/24').status, 0);
  const once = tree.files();
  t.equal(install('--pod-cidr', '10.244.1.0/24').status, 0);
  t.strictSame(tree.files(), once, 'the second changes nothing');
  writeFileSync(tree.path('src/tsbridge'), 'executable 2\n');
  t.equal(install('--pod-cidr', '10.244.2.0/24').status, 0, 'an update');
  t.equal(tree.files()['opt/cni/bin/tsbridge'], '755 executable 2\n');
  t.match(tree.files()[conflist], /10\.244\.2\.0/);
  t.equal(install('--uninstall').status, 0);
  t.strictSame(tree.files(), before, 'what was there before the first is back, modes included, and nothing is left');
  t.strictSame(install('--uninstall').stdout, 'nothing is installed\n');
  t.strictSame(tree.files(), before, 'a second --uninstall does nothing');
});

t.test('--uninstall removes what had not been there', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const before = tree.files();
  t.equal(install('--pod-cidr', '10.244.1.0/24').status, 0);
  t.equal(install('--uninstall').status, 0);
  t.strictSame(tree.files(), before);
});

t.test('--executable-only leaves the network to another plugin', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const before = tree.files();
  t.equal(install('--executable-only').status, 0);
  t.strictSame(
    Object.keys(tree.files()).filter((file) => !(file in before)),
    ['opt/cni/bin/tsbridge', 'var/lib/tsbridge/install/was-absent/opt/cni/bin/tsbridge'],
  );
  t.equal(install('--uninstall').status, 0);
  t.strictSame(tree.files(), before);
});

t.test('install-node --root, from outside the tree', needed, async (t) => {
  const { tree } = nodeOf(t);
  const words = ['--root', `${tree.root}/`, '--executable', tree.path('src/tsbridge'), '--pod-cidr', '10.244.1.0/24'];
  t.equal(attempt([script, ...words]).stdout, `${tree.root}/opt/cni/bin/tsbridge\n${tree.root}/${conflist}\n`);
  t.match(JSON.parse(readFileSync(tree.path(conflist), 'utf8')), { name: 'pods' });
});

t.test('install-node says what will not work, and does the rest', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  for (const plugin of ['portmap', 'loopback']) attempt(['rm', tree.path(`opt/cni/bin/${plugin}`)]);
  writeFileSync(tree.path('etc/cni/net.d/05-first.conflist'), '{}\n');
  const { status, stderr } = install('--pod-cidr', '10.244.1.0/24');
  t.equal(status, 0);
  t.strictSame(stderr.trimEnd().split('\n'), [
    'install-node: no /opt/cni/bin/portmap: pods will have no hostPort',
    'install-node: no /opt/cni/bin/loopback: containerd and CRI-O start no pod without it',
    'install-node: /etc/cni/net.d/05-first.conflist comes first: runtimes will use it until it is moved away',
  ]);
  const { plugins } = JSON.parse(readFileSync(tree.path(conflist), 'utf8')) as { plugins: { type: string }[] };
  t.strictSame(
    plugins.map(({ type }) => type),
    ['tsbridge'],
    'a list must not name a plugin that is not there',
  );
});

for (const plugin of onePlugin.filter(({ isReference }) => !isReference)) {
  t.test(
    `${plugin.name}: the network that install-node writes gives pods theirs`,
    { skip: missing('nft') },
    async (t) => {
      const { tree, install } = nodeOf(t);
      const ranges = [
        '--pod-cidr',
        '10.244.1.0/24,fd00:10:244:1::/64',
        '--cluster-cidr',
        '10.244.0.0/16,fd00:10:244::/48',
      ];
      t.equal(install(...ranges, '--mtu', '1450').status, 0);
      const host = await Host.create(t, { plugin: plugin.path });
      const chain = new Chain(host, JSON.parse(readFileSync(tree.path(conflist), 'utf8')));
      const [one, two] = [host.container(), host.container()];
      chain.add(one);
      const { ips } = chain.add(two);
      for (const { address } of ips as { address: string }[]) {
        const [ip = ''] = address.split('/');
        t.ok(one.canReach(ip), `a pod reaches another at ${ip}`);
      }
      t.equal(one.ip('link', 'show', 'eth0')[0].mtu, 1450);
      for (const pod of [one, two]) chain.del(pod);
      t.strictSame(leftBehind(host, [one.id, two.id]), [], 'nothing is left');
    },
  );
}

const refusals: [string, string[], RegExp][] = [
  ['no prefix length', ['--pod-cidr', '10.244.1.0'], /not a prefix: 10\.244\.1\.0/],
  ['something that would end the JSON text', ['--pod-cidr', '10.244.1.0/24","x'], /not a prefix/],
  ['two ranges of a family', ['--pod-cidr', '10.244.1.0/24,10.244.2.0/24'], /more than one pod range of a family/],
  ['an MTU in words', ['--pod-cidr', '10.244.1.0/24', '--mtu', 'big'], /not a number of bytes: big/],
  ['too long a name', ['--pod-cidr', '10.244.1.0/24', '--bridge', 'sixteen-letters1'], /not an interface name/],
  ['no kubectl', [], /give --pod-cidr: there is no kubectl here to ask/],
  ['no executable', ['--pod-cidr', '10.244.1.0/24', '--executable', '/src/no'], /\/src\/no is not there/],
  ['a value left out', ['--pod-cidr'], /--pod-cidr needs a value/],
];
t.test('install-node refuses before it writes anything:', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const before = tree.files();
  for (const [name, words, message] of refusals) {
    const { status, stderr } = install(...words);
    t.match(stderr, message, name);
    t.strictSame({ status, files: tree.files() }, { status: 1, files: before });
  }
});
