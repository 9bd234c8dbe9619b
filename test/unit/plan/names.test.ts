import t from 'tap';
import type { Attachment } from '../../../src/cni/attachment.ts';
import {
  attachmentComment,
  attachmentHash,
  hash64,
  hostVethAlias,
  hostVethName,
  hostVethNameOfAlias,
  isAliasOf,
  macAddress,
  vlanGatewayPortName,
  withFilteringMark,
  withoutFilteringMark,
} from '../../../src/plan/names.ts';

const pod = { network: 'localnet', containerID: '3425442566778868678', ifname: 'eth10' };

t.test('names follow from the attachment and from nothing else', async (t) => {
  t.equal(hostVethName(pod), hostVethName({ ...pod }));
  t.match(hostVethName(pod), /^veth[0-9a-f]{11}$/);
  t.equal(hostVethAlias(pod), 'localnet/3425442566778868678/eth10');
  t.equal(attachmentComment(pod), 'network=localnet container=3425442566778868678 interface=eth10');
});

t.test('attachments that differ in one part only have different names', async (t) => {
  const others = [
    { ...pod, network: 'localnet2' },
    { ...pod, containerID: '3425442566778868679' },
    { ...pod, ifname: 'eth11' },
    { network: 'a', containerID: 'bc', ifname: 'd' },
    { network: 'ab', containerID: 'c', ifname: 'd' },
  ];
  const names = new Set([pod, ...others].map(hostVethName));
  t.equal(names.size, others.length + 1);
  t.not(vlanGatewayPortName('cni0', 1), vlanGatewayPortName('cni0', 2));
});

t.test('200,000 similar attachments have 200,000 different hashes and, in their 44 bits, names', async (t) => {
  const hashes = new Set<string>();
  const names = new Set<string>();
  for (let i = 0; i < 200_000; i++) {
    const attachment = { network: 'n', containerID: i.toString(16), ifname: 'eth0' };
    hashes.add(attachmentHash(attachment));
    names.add(hostVethName(attachment));
  }
  t.equal(hashes.size, 200_000);
  t.equal(names.size, 200_000);
});

t.test('every bit of the hash is set about half of the time', async (t) => {
  const counts = Array<number>(64).fill(0);
  const samples = 4000;
  for (let i = 0; i < samples; i++) {
    const bits = BigInt(`0x${hash64(`container ${i}`)}`);
    for (let bit = 0; bit < 64; bit++) if ((bits >> BigInt(bit)) & 1n) counts[bit] = (counts[bit] ?? 0) + 1;
  }
  for (const [bit, count] of counts.entries()) t.ok(Math.abs(count / samples - 0.5) < 0.05, `bit ${bit}: ${count}`);
});

t.test('MAC addresses are unicast and locally administered, and differ by node, role and name', async (t) => {
  const macs = [
    macAddress('node1', 'container', 'x'),
    macAddress('node2', 'container', 'x'),
    macAddress('node1', 'host', 'x'),
    macAddress('node1', 'container', 'y'),
  ];
  t.equal(new Set(macs).size, 4);
  for (const mac of macs) {
    t.match(mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    t.equal(Number.parseInt(mac.slice(0, 2), 16) & 3, 2);
  }
});

t.test('an alias fits the kernel, tells whose it is, and stays one per attachment', async (t) => {
  const bytes = (text: string) => Buffer.byteLength(text);
  const whole = { network: 'n'.repeat(100), containerID: 'c'.repeat(148), ifname: 'eth0' };
  t.equal(bytes(hostVethAlias(whole)), 254);
  t.equal(hostVethAlias(whole), `${whole.network}/${whole.containerID}/eth0`);
  const table: [string, Attachment][] = [
    ['one byte too long', { ...whole, containerID: 'c'.repeat(149) }],
    ['an interface whose name has more bytes than characters', { ...whole, ifname: 'éééé' }],
    ['a long network', { network: 'n'.repeat(240), containerID: 'c'.repeat(64), ifname: 'eth0' }],
    ['a long container ID', { network: 'n', containerID: 'c'.repeat(4000), ifname: 'a'.repeat(15) }],
    ['both', { network: 'n'.repeat(255), containerID: 'c'.repeat(255), ifname: 'ééééééé' }],
  ];
  for (const [title, attachment] of table) {
    const alias = hostVethAlias(attachment);
    t.ok(bytes(alias) <= 254, `${title}: ${bytes(alias)} bytes`);
    t.match(alias, /^n+(~[0-9a-f]{16})?\/c+~[0-9a-f]{16}\//, title);
    t.ok(isAliasOf(attachment.network, alias), title);
    t.notOk(isAliasOf(`${attachment.network.slice(0, -1)}m`, alias), title);
    t.equal(hostVethNameOfAlias(alias), hostVethName(attachment), title);
    for (const other of [
      { ...attachment, network: `${attachment.network}x` },
      { ...attachment, containerID: `${attachment.containerID}x` },
    ]) {
      t.not(hostVethAlias(other), alias, title);
    }
  }
  t.ok(isAliasOf(whole.network, hostVethAlias(whole)));
  t.equal(hostVethNameOfAlias(hostVethAlias(whole)), hostVethName(whole));
  for (const alias of ['', 'uplink', 'a/b', 'a/b/c/d', '/b/c']) t.equal(hostVethNameOfAlias(alias), undefined, alias);
});

t.test('the mark on a bridge goes behind what its alias says, and away again', async (t) => {
  for (const alias of ['', 'uplink', 'uplink [x]', 'n'.repeat(225)]) {
    const marked = withFilteringMark(alias) as string;
    t.match(marked, /vlan_filtering by tsbridge/);
    t.equal(withoutFilteringMark(marked), alias);
    t.equal(withoutFilteringMark(alias), undefined);
  }
  t.equal(withFilteringMark(undefined), 'vlan_filtering by tsbridge');
  t.equal(withFilteringMark('n'.repeat(226)), undefined, 'no room: what others say is not cut');
  t.equal(withoutFilteringMark(undefined), undefined);
});

t.test('a comment fits what nft reads back, and stays one per attachment', async (t) => {
  const long = { network: 'n'.repeat(60), containerID: 'c'.repeat(64), ifname: 'eth0' };
  const other = { ...long, network: `${'n'.repeat(59)}m` };
  t.ok(attachmentComment(long).length < 128);
  const wide = { network: 'n'.repeat(30), containerID: 'c'.repeat(53), ifname: 'ééééééé' };
  t.ok(Buffer.byteLength(attachmentComment(wide)) < 128, 'bytes count, not characters');
  t.not(attachmentComment(long), attachmentComment(other));
});
