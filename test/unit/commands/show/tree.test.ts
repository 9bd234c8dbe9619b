import t from 'tap';
import type { ShownBridge } from '../../../../src/commands/show/show.ts';
import { showBridges, showBytes } from '../../../../src/commands/show/tree.ts';

const bridge: ShownBridge = {
  bridge: 'cni0',
  networks: ['pods'],
  exists: true,
  up: true,
  addresses: ['10.1.0.1/16', 'fd00::1/64'],
  mac: '02:00:00:00:00:01',
  mtu: 1450,
  vlanFiltering: true,
  ports: { used: 3, max: 1023, others: 1 },
  odd: [],
  attachments: [
    {
      network: 'pods',
      interface: 'veth00000000001',
      containerID: 'c'.repeat(64),
      ifname: 'eth0',
      pod: `kube-system/${'long'.repeat(20)}`,
      addresses: ['10.1.0.2', 'fd00::2'],
      netns: '/run/netns/cni-1',
      mac: '02:00:00:00:00:02',
      vlans: [7],
      hostPorts: ['tcp 8080 to 80'],
      sent: { packets: 1, bytes: 42 },
      received: { packets: 1_000_000, bytes: 1_234_567_890 },
      odd: [],
    },
    {
      network: 'pods',
      interface: '',
      containerID: 'gone',
      ifname: 'eth0',
      pod: '',
      addresses: ['10.1.0.3'],
      netns: '',
      mac: '',
      vlans: [],
      hostPorts: [],
      odd: ['no veth: only the lease is left'],
    },
  ],
};

t.test('a bridge as people draw it', async (t) => {
  const text = showBridges([bridge], (_, one) => one);
  t.strictSame(text.split('\n'), [
    'cni0  10.1.0.1/16 fd00::1/64',
    '│ up, MAC 02:00:00:00:00:01, mtu 1450, VLAN filtering',
    '│ 3 of 1023 ports used, 1 of them not of containers',
    '│ network pods',
    '├─ veth00000000001  10.1.0.2 fd00::2',
    `│    pod      ${`kube-system/${'long'.repeat(20)}`.slice(0, 65)}…`,
    `│    eth0     ${'c'.repeat(64)}`,
    '│    netns    /run/netns/cni-1',
    '│    MAC      02:00:00:00:00:02',
    '│    VLAN     7',
    '│    ports    tcp 8080 to 80',
    '│    sent     1 packet, 42 B',
    '│    received 1000000 packets, 1.2 GB',
    '└─ (no veth)  10.1.0.3',
    '     eth0     gone',
    '     ! no veth: only the lease is left',
    '',
  ]);
  t.strictSame(
    text.split('\n').filter((line) => line.length > 80),
    [],
    'within 80 columns',
  );
  const coloured = showBridges([bridge], (colour, one) => `<${colour}>${one}</>`);
  t.match(coloured, /<red>! no veth/);
  t.equal(coloured.replaceAll(/<[^>]*>/g, ''), text, 'colours move nothing');
  t.equal(
    showBridges([], (_, one) => one),
    'no bridges, and no leases\n',
  );
});

t.test('bytes', async (t) => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '1000 kB'],
    [123_456_789, '123 MB'],
    [1.5e18, '1500 PB'],
  ] satisfies [number, string][]) {
    t.equal(showBytes(bytes), text);
  }
});
