import t from 'tap';
import { deleteVlan, getVlans, newVlan, parseVlans } from '../../../src/netlink/vlan-message.ts';
import { bytes, hex } from './golden.ts';

// `strace -e trace=sendmsg -e write=all COMMAND`, iproute2 6.1.0, strace 6.1; without struct nlmsghdr.
t.test('requests have the bytes of the command', async (t) => {
  const table = [
    {
      command: 'bridge vlan add dev veth1 vid 100 pvid untagged',
      message: newVlan(4, { vid: 100, pvid: true, untagged: true }),
      type: 19,
      golden: '07000000 04000000 00000000 00000000 0c001a00 08000200 0600 6400',
    },
    {
      command: 'bridge vlan add dev veth1 vid 10-20',
      message: newVlan(4, { vid: 10, vidEnd: 20 }),
      type: 19,
      golden: '07000000 04000000 00000000 00000000 14001a00 08000200 0800 0a00 08000200 1000 1400',
    },
    {
      command: 'bridge vlan del dev veth1 vid 1',
      message: deleteVlan(4, { vid: 1 }),
      type: 17,
      golden: '07000000 04000000 00000000 00000000 0c001a00 08000200 0000 0100',
    },
    {
      command: 'bridge vlan show (compressed: mask 4 instead of 2)',
      message: getVlans(),
      type: 18,
      golden: '07000000 00000000 00000000 00000000 08001d00 04000000',
    },
  ];
  for (const { command, message, type, golden } of table) {
    t.strictSame({ type: message.type, body: hex(message.body) }, { type, body: hex(bytes(golden)) }, command);
  }
});

t.test('the VLANs of a port', async (t) => {
  // struct ifinfomsg, IFLA_IFNAME "v", IFLA_AF_SPEC: 1 pvid untagged, 10-12 — linux/if_bridge.h
  const body = bytes(`07000000 04000000 00000000 00000000 06000300 7600 0000
    1c001a00 08000200 0600 0100 08000200 0800 0a00 08000200 1000 0c00`);
  t.strictSame(parseVlans({ body }, 4), [
    { vid: 1, pvid: true, untagged: true },
    { vid: 10, pvid: false, untagged: false },
    { vid: 11, pvid: false, untagged: false },
    { vid: 12, pvid: false, untagged: false },
  ]);
  t.strictSame(parseVlans({ body }, 5), [], 'of another port: none');
  t.strictSame(
    parseVlans({ body: bytes('07000000 04000000 00000000 00000000 06000300 7600 0000') }, 4),
    [],
    'of a kernel without VLAN filtering: none',
  );
});
