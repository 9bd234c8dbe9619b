import t from 'tap';
import { type Prefix, parsePrefix } from '../../../src/ip/prefix.ts';
import { getRoutes, newRoute, parseRouteStates } from '../../../src/netlink/route-message.ts';
import { bytes, hex } from './golden.ts';

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;

// `strace -e trace=sendmsg -e write=all COMMAND`, iproute2 6.1.0, strace 6.1; without struct nlmsghdr. NLM_F_APPEND is 0x800.
t.test('requests have the bytes of the command', async (t) => {
  const table = [
    {
      command: 'ip route append 10.9.0.0/16 via 10.1.0.1 dev br0 metric 7 mtu 1300 advmss 1200',
      message: newRoute(2, prefix('10.9.0.0/16'), { gw: '10.1.0.1', priority: 7, mtu: 1300, advmss: 1200 }),
      golden: `02100000 fe030001 00000000 08000100 0a090000 08000500 0a010001 08000600 07000000
        14000800 08000200 14050000 08000800 b0040000 08000400 02000000`,
    },
    {
      command: 'ip route append default via 10.1.0.1 dev br0 table 1000',
      message: newRoute(2, prefix('0.0.0.0/0'), { gw: '10.1.0.1', table: 1000 }),
      golden: '02000000 00030001 00000000 08000500 0a010001 08000f00 e8030000 08000400 02000000',
    },
    {
      command: 'ip route append 10.8.0.0/16 dev br0: no gateway, so scope link',
      message: newRoute(2, prefix('10.8.0.0/16'), {}),
      golden: '02100000 fe03fd01 00000000 08000100 0a080000 08000400 02000000',
    },
    {
      command: 'ip route append fd01::/48 via fd00::1 dev br0',
      message: newRoute(2, prefix('fd01::/48'), { gw: 'fd00::1' }),
      golden: `0a300000 fe030001 00000000 14000100 fd010000000000000000000000000000
        14000500 fd000000000000000000000000000001 08000400 02000000`,
    },
  ];
  for (const { command, message, golden } of table) {
    t.strictSame(
      { type: message.type, flags: message.flags, body: hex(message.body) },
      { type: 24, flags: 0xc00, body: hex(bytes(golden)) },
      command,
    );
  }
  const shown = getRoutes({ table: 1000 });
  // `ip -4` has AF_INET in the first byte, and zeros behind.
  t.equal(hex(shown.body), hex(bytes('00000000 00000000 00000000 08000f00 e8030000')), 'ip route show table 1000');
  t.equal(shown.type, 26);
});

t.test('host bits of a destination are dropped, and scopes are as given', async (t) => {
  t.equal(
    hex(newRoute(2, prefix('10.8.1.2/16'), { scope: 254 }).body),
    hex(bytes('02100000 fe03fe01 00000000 08000100 0a080000 08000400 02000000')),
  );
});

// `strace -e trace=recvmsg -e read=all ip route show`, iproute2 6.1.0, Linux 6.18; without struct nlmsghdr.
t.test('replies', async (t) => {
  t.strictSame(
    parseRouteStates({
      body: bytes('02180000 fe02fd01 00000000 08000f00 fe000000 08000100 0a010000 08000700 0a010005 08000400 02000000'),
    }),
    [{ dst: '10.1.0.0/24', family: 4, oif: 2, table: 254, priority: 0, scope: 253, protocol: 2 }],
    'the route of an address',
  );
  const two = {
    dst: '10.9.0.0/16',
    family: 4,
    oif: 2,
    table: 254,
    priority: 7,
    scope: 0,
    protocol: 3,
    mtu: 1300,
    advmss: 1200,
  };
  t.strictSame(
    parseRouteStates({
      body: bytes(`02100000 fe030001 00000000 08000f00 fe000000 08000100 0a090000 08000600 07000000
        14000800 08000200 14050000 08000800 b0040000
        24000900 10000000 02000000 08000500 0a010001 10000000 02000000 08000500 0a010002`),
    }),
    [
      { ...two, gw: '10.1.0.1' },
      { ...two, gw: '10.1.0.2' },
    ],
    'a route with two next hops is two routes',
  );
  t.strictSame(
    parseRouteStates({
      body: bytes(`0a300000 fc030001 00000000 08000f00 e8030000 14000100 fd010000000000000000000000000000 08000600 00040000
        14000500 fd000000000000000000000000000001 08000400 02000000
        24000c00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 05001400 00 000000`),
    }),
    [{ dst: 'fd01::/48', family: 6, gw: 'fd00::1', oif: 2, table: 1000, priority: 1024, scope: 0, protocol: 3 }],
    'IPv6, in a table above 255',
  );
  t.strictSame(
    parseRouteStates({ body: bytes('02000000 fe030001 00000000 0a001200 0a00 fd000000 0000 08000400 02000000') }),
    [{ dst: '0.0.0.0/0', family: 4, oif: 2, table: 254, priority: 0, scope: 0, protocol: 3 }],
    'a gateway of the other family (RTA_VIA) is passed over',
  );
  t.strictSame(
    parseRouteStates({ body: bytes('02200000 ff02fe02 00000000') }),
    [],
    'a local route is no unicast route',
  );
});
