import t from 'tap';
import { readSettings, type Settings, type Typed } from '../../../src/agent/settings.ts';
import { formatPrefix } from '../../../src/ip/prefix.ts';

const plain = ({ clusterCidrs, ...rest }: Settings) => ({ ...rest, clusterCidrs: clusterCidrs.map(formatPrefix) });

t.test('defaults', async (t) => {
  t.strictSame(plain(readSettings({}, {}, 'Worker-1')), {
    node: 'worker-1',
    mode: 'auto',
    uplink: {},
    clusterCidrs: [],
    confDir: '/etc/cni/net.d',
    conflist: '10-tsbridge.conflist',
    binDir: '/opt/cni/bin',
    port: 9479,
    vni: 7311,
    vxlanPort: 4789,
    removalDelayMs: 60_000,
    checkIntervalMs: 60_000,
    apiTimeoutMs: 30_000,
    watchIdleMs: 150_000,
    logLevel: 'info',
  });
});

t.test('where a setting comes from', async (t) => {
  const rows: {
    name: string;
    typed?: Typed;
    env?: Record<string, string>;
    expected: Partial<ReturnType<typeof plain>>;
  }[] = [
    { name: 'NODE_NAME', env: { NODE_NAME: 'n1' }, expected: { node: 'n1' } },
    {
      name: 'a variable before NODE_NAME',
      env: { NODE_NAME: 'n1', TSBRIDGE_AGENT_NODE: 'n2' },
      expected: { node: 'n2' },
    },
    {
      name: 'an option before a variable',
      typed: { node: 'n3' },
      env: { TSBRIDGE_AGENT_NODE: 'n2' },
      expected: { node: 'n3' },
    },
    { name: 'an empty variable is none', env: { TSBRIDGE_AGENT_MODE: '' }, expected: { mode: 'auto' } },
    {
      name: 'lists, by commas or blanks; host bits go',
      env: { TSBRIDGE_AGENT_CLUSTER_CIDR: '10.244.1.0/16, fd00:10:244::/56' },
      expected: { clusterCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'] },
    },
    { name: 'an interface', typed: { uplink: 'eth0' }, expected: { uplink: { dev: 'eth0' } } },
    {
      name: 'an address of each family',
      typed: { uplink: '192.0.2.1,2001:db8::1' },
      expected: { uplink: { addresses: ['192.0.2.1', '2001:db8::1'] } },
    },
    {
      name: 'a tree',
      typed: { root: '/host/', confDir: '/etc/cni/net.d/', conflistTemplate: '/etc/tsbridge.json' },
      expected: { confDir: '/host/etc/cni/net.d', binDir: '/host/opt/cni/bin', template: '/host/etc/tsbridge.json' },
    },
    { name: 'nothing installed', typed: { executable: 'none' }, expected: { executable: '' } },
    { name: 'seconds', typed: { removalDelay: '2' }, expected: { removalDelayMs: 2000 } },
  ];
  for (const { name, typed = {}, env = {}, expected } of rows) {
    t.match(plain(readSettings(typed, env, 'host')), expected, name);
  }
  t.notHas(readSettings({ conflist: 'none' }, {}, 'host'), { conflist: 'none' }, 'no conflist');
});

t.test('everything that is wrong is said at once, and where it comes from', async (t) => {
  const rows: { typed?: Typed; env?: Record<string, string>; expected: RegExp }[] = [
    { typed: { mode: 'ipip' }, expected: /^--mode: "ipip"; expected auto, direct, vxlan$/ },
    { env: { TSBRIDGE_AGENT_MODE: 'ipip' }, expected: /^TSBRIDGE_AGENT_MODE: "ipip"/ },
    { typed: { node: 'Node_1' }, expected: /^--node: "Node_1"; expected the name of a Node object$/ },
    { typed: { clusterCidr: '10.0.0.0/33' }, expected: /^--cluster-cidr: "10\.0\.0\.0\/33"/ },
    { typed: { uplink: '192.0.2.1,192.0.2.2' }, expected: /^--uplink: / },
    { typed: { uplink: 'a/b' }, expected: /^--uplink: / },
    { typed: { port: '70000' }, expected: /^--port: "70000"; expected a number from 0 to 65535$/ },
    { typed: { vxlanId: '0x10' }, expected: /^--vxlan-id: / },
    { typed: { mtu: '100' }, expected: /^--mtu: "100"; expected a number from 576 to 65535$/ },
    { typed: { conflist: '../x.conflist' }, expected: /^--conflist: / },
    { typed: { confDir: 'net.d' }, expected: /^--conf-dir: "net\.d"; expected an absolute path$/ },
    { typed: { mode: 'x', port: 'y' }, expected: /--mode: .*; --port: / },
  ];
  for (const { typed = {}, env = {}, expected } of rows) {
    t.throws(() => readSettings(typed, env, 'host'), { code: 7, message: expected }, String(expected));
  }
});
