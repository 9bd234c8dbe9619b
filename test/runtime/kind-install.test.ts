/** scripts/kind-install with directory trees for a cluster's nodes; docker and kubectl are stand-ins. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { attempt } from '../support/command.ts';
import { missing } from '../support/requirements.ts';
import { NodeTree } from './node-tree.ts';

const script = fileURLToPath(new URL('../../scripts/kind-install', import.meta.url));
const conflist = 'etc/cni/net.d/10-tsbridge.conflist';
const nodes = [
  {
    name: 'kind-control-plane',
    role: 'control-plane',
    addresses: '172.18.0.2,fc00:f853::2,',
    prefixes: '10.244.0.0/24,fd00:10:244::/64,',
  },
  {
    name: 'kind-worker',
    role: 'worker',
    addresses: '172.18.0.3,fc00:f853::3,',
    prefixes: '10.244.1.0/24,fd00:10:244:1::/64,',
  },
  {
    name: 'kind-worker2',
    role: 'worker',
    addresses: '172.18.0.4,fc00:f853::4,',
    prefixes: '10.244.2.0/24,fd00:10:244:2::/64,',
  },
];

/** What plays the executable: install-node asks it for its VERSION. */
const stub = `#!/bin/sh\necho '{"supportedVersions":["1.0.0"]}'\n`;

function cluster(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'kind-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const trees = nodes.map(({ name }) => {
    const tree = new NodeTree(t, dir, `${name}-`);
    // Keeps the table of routes as a file, a line each, as `ip route replace` and `del` change it.
    tree.program(
      'bin/ip',
      `[ "$1" != -6 ] || shift
      touch /etc/routes
      grep -vF "$3 via" /etc/routes >/tmp/routes
      [ "$2" = del ] || echo "$3 $4 $5" >>/tmp/routes
      [ "$2" != del ] || grep -qF "$3 via" /etc/routes || exit 2
      sort /tmp/routes >/etc/routes; rm /tmp/routes`,
    );
    return tree;
  });
  trees[0]?.program(
    'bin/kubectl',
    `case "$*" in
    *"get nodes -o jsonpath="*) printf '%s\\n' ${nodes.map((n) => `'${n.name} ${n.addresses} ${n.prefixes}'`).join(' ')} ;;
    *"get configmap kubeadm-config"*) printf 'networking:\\n  dnsDomain: cluster.local\\n  podSubnet: "10.244.0.0/16,fd00:10:244::/56"\\n  serviceSubnet: 10.96.0.0/16\\n' ;;
    *) exit 1 ;;
    esac`,
  );
  const enter = nodes.map(({ name }, n) => `${name}) exec chroot ${trees[n]?.root} /usr/bin/env -i PATH=/bin "$@" ;;`);
  const list = (role: string) =>
    nodes
      .filter((n) => n.role === role)
      .map(({ name }) => name)
      .join('\\n');
  const docker = `#!/bin/sh
    case "$*" in
    "ps --filter label=io.x-k8s.kind.cluster=kind --filter label=io.x-k8s.kind.role=control-plane --format {{.Names}}") printf '${list('control-plane')}\\n' ;;
    "ps --filter label=io.x-k8s.kind.cluster=kind --filter label=io.x-k8s.kind.role=worker --format {{.Names}}") printf '${list('worker')}\\n' ;;
    ps*) ;;
    "exec -i "*) node=$3; shift 3; case $node in ${enter.join('\n').replaceAll('/usr/bin/env', '/bin/env')}
      *) exit 125 ;; esac ;;
    *) echo "docker $*?" >&2; exit 125 ;;
    esac\n`;
  for (const engine of ['docker', 'podman']) writeFileSync(join(dir, engine), docker, { mode: 0o755 });
  const executable = join(dir, 'tsbridge');
  writeFileSync(executable, stub);
  const kind = (words: string[], env: Record<string, string> = {}) =>
    attempt([script, ...words], { env: { PATH: `${dir}:${process.env.PATH}`, ...env } });
  return { trees, executable, kind };
}

const routesOf = (tree: NodeTree) =>
  readFileSync(tree.path('etc/routes'), 'utf8').trimEnd().split('\n').filter(Boolean);

for (const engine of ['docker', 'podman']) {
  t.test(`kind-install through ${engine}`, { skip: missing('busybox', 'chroot') }, async (t) => {
    const { trees, executable, kind } = cluster(t);
    const before = trees.map((tree) => tree.files());
    const env = { KIND_EXPERIMENTAL_PROVIDER: engine };
    const installed = kind(['--executable', executable], env);
    t.equal(installed.status, 0, installed.stderr || 'it succeeds');
    for (const [n, tree] of trees.entries()) {
      const [ip4, ip6] = (nodes[n]?.prefixes ?? '').split(',');
      t.equal(tree.files()['opt/cni/bin/tsbridge'], `755 ${stub}`, `${nodes[n]?.name} has the executable`);
      t.match(
        JSON.parse(readFileSync(tree.path(conflist), 'utf8')).plugins[0],
        {
          nonMasqueradeCIDRs: ['10.244.0.0/16', 'fd00:10:244::/56'],
          ipam: { ranges: [[{ subnet: ip4 }], [{ subnet: ip6 }]] },
        },
        'and a network of its own ranges',
      );
    }
    t.strictSame(
      routesOf(trees[1] as NodeTree),
      [
        '10.244.0.0/24 via 172.18.0.2',
        '10.244.2.0/24 via 172.18.0.4',
        'fd00:10:244:2::/64 via fc00:f853::4',
        'fd00:10:244::/64 via fc00:f853::2',
      ],
      'a worker has routes to the pods of the other nodes, family by family',
    );
    const once = trees.map((tree) => tree.files());
    t.equal(kind(['--executable', executable], env).status, 0);
    t.strictSame(
      trees.map((tree) => tree.files()),
      once,
      'a second run changes nothing',
    );

    const uninstalled = kind(['--uninstall'], env);
    t.equal(uninstalled.status, 0, uninstalled.stderr || 'uninstall');
    t.strictSame(trees.flatMap(routesOf), [], 'the routes are gone');
    for (const tree of trees) rmSync(tree.path('etc/routes'));
    t.strictSame(
      trees.map((tree) => tree.files()),
      before,
      'and every node is as it was',
    );
    t.equal(kind(['--uninstall'], env).status, 0, 'a second time as well');
  });
}

t.test('kind-install refuses', { skip: missing('busybox', 'chroot') }, async (t) => {
  const { executable, kind } = cluster(t);
  t.match(
    kind(['--name', 'other', '--executable', executable]).stderr,
    /no running nodes of a kind cluster named other/,
  );
  t.match(kind(['--executable', '/nowhere']).stderr, /\/nowhere is not there/);
  t.match(kind(['--what']).stderr, /kind-install \[--name/);
});
