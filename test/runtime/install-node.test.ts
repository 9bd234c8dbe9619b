/** scripts/install-node in a directory tree, run by busybox: a node has no Node.js and maybe no bash. */
import { copyFileSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { attempt, start } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';
import { Chain } from './chain.ts';
import { leftBehind } from './left-behind.ts';
import { NodeTree, speaks } from './node-tree.ts';
import { onePlugin } from './plugin.ts';

const script = fileURLToPath(new URL('../../scripts/install-node', import.meta.url));
const needed = { skip: missing('busybox', 'chroot') };
const conflist = 'etc/cni/net.d/10-tsbridge.conflist';

/** What plays the executable: it answers VERSION, as install-node wants it before it changes anything. */
const stub = (word: string) =>
  `#!/bin/sh\n# ${word}\n[ "$CNI_COMMAND" != VERSION ] || echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0"]}'\n`;

/** A node with the script and an executable in /src, and a runtime that is as it comes. */
function nodeOf(t: Test, runtime: Record<string, string> = { 'etc/containerd/config.toml': 'version = 2\n' }) {
  const tree = new NodeTree(t);
  for (const [file, text] of Object.entries(runtime)) {
    mkdirSync(dirname(tree.path(file)), { recursive: true });
    writeFileSync(tree.path(file), text);
  }
  mkdirSync(tree.path('src'));
  copyFileSync(script, tree.path('src/install-node'));
  writeFileSync(tree.path('src/tsbridge'), stub('1'), { mode: 0o644 });
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
  t.equal(tree.files()['opt/cni/bin/tsbridge'], `755 ${stub('1')}`, 'the executable is there, and executable');
  t.strictSame(JSON.parse(readFileSync(tree.path(conflist), 'utf8')), {
    cniVersion: '1.0.0',
    cniVersions: ['1.0.0', '1.1.0'],
    name: 'pods',
    plugins: [
      {
        type: 'tsbridge',
        capabilities: { portMappings: true },
        bridge: 'br-pods',
        isDefaultGateway: true,
        hairpinMode: true,
        mtu: 1450,
        ipMasq: true,
        nonMasqueradeCIDRs: ['10.244.0.0/16', 'fd00:10:244::/48'],
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]] },
      },
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
  writeFileSync(tree.path('src/tsbridge'), stub('2'));
  t.equal(install('--pod-cidr', '10.244.2.0/24').status, 0, 'an update');
  t.equal(tree.files()['opt/cni/bin/tsbridge'], `755 ${stub('2')}`);
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
  attempt(['rm', tree.path('opt/cni/bin/loopback')]);
  writeFileSync(tree.path('etc/cni/net.d/05-first.conflist'), '{}\n');
  const { status, stderr } = install('--pod-cidr', '10.244.1.0/24');
  t.equal(status, 0);
  t.strictSame(stderr.trimEnd().split('\n'), [
    'install-node: no loopback in /opt/cni/bin: containerd and CRI-O start no pod without it',
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

const runtimes: [string, Record<string, string>, string[], string[], string?][] = [
  [
    'Debian’s containerd 1.6',
    {
      'etc/containerd/config.toml':
        'version = 2\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    [plugins."io.containerd.grpc.v1.cri".cni]\n      bin_dir = "/usr/lib/cni"\n      conf_dir = "/etc/cni/net.d"\n',
    },
    ['/usr/lib/cni/tsbridge'],
    ['/etc/cni/net.d'],
  ],
  [
    'containerd 2.1 with its own defaults',
    {
      'etc/containerd/config.toml':
        "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n  # DEPRECATED, use `bin_dirs` instead\n  bin_dir = ''\n  bin_dirs = ['/opt/cni/bin', '/usr/lib/cni']\n  conf_dir = '/etc/cni/net.d'\n",
    },
    ['/opt/cni/bin/tsbridge'],
    ['/etc/cni/net.d'],
  ],
  [
    'containerd with a drop-in file',
    {
      'etc/containerd/config.toml': 'imports = ["/etc/containerd/conf.d/*.toml"]\nbin_dir = "/opt/cni/bin"\n',
      'etc/containerd/conf.d/10-cni.toml': 'bin_dir = "/srv/cni" # ours\nconf_dir="/srv/net.d"\n',
    },
    ['/srv/cni/tsbridge'],
    ['/srv/net.d'],
  ],
  [
    'CRI-O, whose lists have several lines',
    {
      'etc/crio/crio.conf': '[crio.network]\n# plugin_dirs = [\n#\t"/nowhere/",\n# ]\n',
      'etc/crio/crio.conf.d/10-crio.conf':
        '[crio.network]\nplugin_dirs = [\n\t"/usr/libexec/cni/",\n\t"/opt/cni/bin/",\n]\n',
    },
    ['/usr/libexec/cni/tsbridge'],
    ['/etc/cni/net.d'],
  ],
  [
    'CRI-O as it comes',
    { 'etc/crio/crio.conf': '[crio]\n# log_dir = "/var/log/crio/pods"\n' },
    ['/opt/cni/bin/tsbridge'],
    ['/etc/cni/net.d'],
  ],
  [
    'two runtimes that look into different directories',
    {
      'etc/containerd/config.toml': 'bin_dir = "/usr/lib/cni"\n',
      'etc/crio/crio.conf': 'plugin_dirs = ["/opt/cni/bin/"]\n',
    },
    ['/usr/lib/cni/tsbridge', '/opt/cni/bin/tsbridge'],
    ['/etc/cni/net.d'],
  ],
  [
    'two runtimes with a directory in common',
    {
      'etc/containerd/config.toml': 'bin_dir = "/usr/lib/cni"\n',
      'etc/crio/crio.conf': 'plugin_dirs = ["/opt/cni/bin/", "/usr/lib/cni"]\n',
    },
    ['/usr/lib/cni/tsbridge'],
    ['/etc/cni/net.d'],
  ],
  [
    'no runtime that has a configuration',
    {},
    ['/opt/cni/bin/tsbridge'],
    ['/etc/cni/net.d'],
    'install-node: neither containerd nor CRI-O has a configuration in /etc: if the runtime looks for plugins elsewhere than in /opt/cni/bin, give --bin-dir\n',
  ],
];
t.test('install-node puts the files where the runtime looks:', needed, async (t) => {
  for (const [name, files, executables, confs, warning] of runtimes) {
    const { tree, install } = nodeOf(t, files);
    for (const dir of ['usr/lib/cni', 'srv/cni', 'usr/libexec/cni']) mkdirSync(tree.path(dir), { recursive: true });
    for (const dir of ['usr/lib/cni', 'srv/cni', 'usr/libexec/cni']) tree.program(`${dir}/loopback`, speaks('1.1.0'));
    const before = tree.files();
    const { status, stdout, stderr } = install('--pod-cidr', '10.244.1.0/24');
    t.strictSame(
      { status, stdout: stdout.trimEnd().split('\n'), stderr },
      {
        status: 0,
        stdout: [...executables, ...confs.map((dir) => `${dir}/10-tsbridge.conflist`)],
        stderr: warning ?? '',
      },
      name,
    );
    t.equal(install('--uninstall').status, 0);
    t.strictSame(tree.files(), before, `${name}: --uninstall finds them again`);
  }
});

t.test('--bin-dir is another directory than the runtime’s', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const before = tree.files();
  t.match(install('--pod-cidr', '10.244.1.0/24', '--bin-dir', '/srv/plugins/').stdout, /^\/srv\/plugins\/tsbridge\n/);
  t.equal(tree.files()['srv/plugins/tsbridge'], `755 ${stub('1')}`);
  t.equal(install('--uninstall').status, 0);
  t.strictSame(tree.files(), before);
});

t.test('an executable that does not run is not installed', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const before = tree.files();
  const loader = 'error while loading shared libraries: libatomic.so.1: cannot open shared object file';
  writeFileSync(tree.path('src/tsbridge'), `#!/bin/sh\necho "tsbridge: ${loader}" >&2\nexit 127\n`, { mode: 0o755 });
  const { status, stdout, stderr } = install('--pod-cidr', '10.244.1.0/24');
  t.strictSame({ status, stdout, files: tree.files() }, { status: 1, stdout: '', files: before });
  t.match(
    stderr,
    `/src/tsbridge does not run here, and nothing was changed: tsbridge: ${loader}`,
    'the loader’s words',
  );
  t.match(stderr, /bin\/tsbridge-static\) needs nothing.*apt-get install libstdc\+\+6 libatomic1/s, 'and the remedy');
  writeFileSync(tree.path('src/tsbridge'), 'no program\n', { mode: 0o644 });
  t.match(install('--executable-only').stderr, /does not run here/);
  t.strictSame(tree.files(), before);
  t.equal(install('--executable-only', '--no-check').status, 0, 'for a tree of another kind of machine');
});

t.test('a runtime that watches never sees half a file', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  const dir = tree.path('etc/cni/net.d');
  const seen: string[] = [];
  const watcher = watch(dir, (_, name) => {
    if (!/\.(conf|conflist|json)$/.test(name ?? '')) return;
    try {
      seen.push(JSON.parse(readFileSync(`${dir}/${name}`, 'utf8')).name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') seen.push(String(error));
    }
  });
  t.teardown(() => watcher.close());
  const reader = start(['sh', '-c', `while :; do cat ${tree.path(conflist)} 2>/dev/null && echo; done`]);
  for (let i = 1; i <= 20; i++) {
    t.equal(install('--pod-cidr', `10.244.${i}.0/24`).status, 0);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  reader.kill();
  const { stdout } = await reader.done;
  const documents = stdout.split(/(?<=^\})\n/m).map((text) => text.trim());
  // The last one may have been cut by the end of the reader itself.
  for (const text of new Set(documents.slice(0, -1))) t.equal(JSON.parse(text || '{}').name ?? 'pods', 'pods');
  t.ok(seen.length >= 20, `${seen.length} events`);
  t.strictSame([...new Set(seen)], ['pods']);
});

t.test('--uninstall tells of pods that still need the executable', needed, async (t) => {
  const { tree, install } = nodeOf(t);
  t.equal(install('--pod-cidr', '10.244.1.0/24').status, 0);
  for (const [dev, alias] of [
    ['veth4d289ad5209', 'pods/one/eth0\n'],
    ['veth127cd3b194b', 'other/two/eth0\n'],
    ['vethplain', ''],
  ] as const) {
    mkdirSync(tree.path(`sys/class/net/${dev}`), { recursive: true });
    writeFileSync(tree.path(`sys/class/net/${dev}/ifalias`), alias);
  }
  const { status, stderr } = install('--uninstall');
  t.equal(status, 0);
  t.match(stderr, /^install-node: 1 interfaces of pods are left .* those of DaemonSets as well/);
});

const refusals: [string, string[], RegExp][] = [
  ['no prefix length', ['--pod-cidr', '10.244.1.0'], /not a prefix: 10\.244\.1\.0/],
  ['something that would end the JSON text', ['--pod-cidr', '10.244.1.0/24","x'], /not a prefix/],
  ['two ranges of a family', ['--pod-cidr', '10.244.1.0/24,10.244.2.0/24'], /more than one pod range of a family/],
  ['an MTU in words', ['--pod-cidr', '10.244.1.0/24', '--mtu', 'big'], /not a number of bytes: big/],
  ['too long a name', ['--pod-cidr', '10.244.1.0/24', '--bridge', 'sixteen-letters1'], /not an interface name/],
  ['no kubectl', [], /give --pod-cidr: there is no kubectl here to ask/],
  ['no executable', ['--pod-cidr', '10.244.1.0/24', '--executable', '/src/no'], /\/src\/no is not there/],
  ['a relative directory', ['--pod-cidr', '10.244.1.0/24', '--bin-dir', 'bin'], /not an absolute path: bin/],
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
