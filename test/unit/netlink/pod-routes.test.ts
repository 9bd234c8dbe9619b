import { formatLinkMessage, formatNeighborMessage, formatRouteMessage } from 'netlink/dist/rt/structs.js';
import { AttrStream } from 'netlink/dist/structs.js';
import t from 'tap';
import { type Ip, parseIp } from '../../../src/ip/address.ts';
import { mustPrefix } from '../../../src/ip/prefix.ts';
import {
  deleteForwarding,
  deleteNeighbour,
  getForwarding,
  getNeighbours,
  newForwarding,
  parseForwarding,
  parseNeighbour,
  setNeighbour,
} from '../../../src/netlink/pod-routes/neighbour-message.ts';
import { changePodRoute, deletePodRoute, newPodRoute } from '../../../src/netlink/pod-routes/pod-route-message.ts';
import { newVxlan, parseVxlan } from '../../../src/netlink/pod-routes/vxlan-message.ts';
import { parseRouteStates } from '../../../src/netlink/route-message.ts';
import { hex } from './golden.ts';

// The bytes have to be those of the package netlink, and what is read from them what was written.

function written<T>(format: (message: T, out: AttrStream) => void, message: T): Buffer {
  const out = new AttrStream();
  format(message, out);
  return Buffer.concat(out.bufs);
}

type Neighbour = Parameters<typeof formatNeighborMessage>[0];
const neighbour = (data: Neighbour['data'], attrs: Neighbour['attrs']) =>
  written(formatNeighborMessage, { kind: 'neighbor', data, attrs } as Neighbour);
type Route = Parameters<typeof formatRouteMessage>[0];
const RTNH_F_ONLINK = 4; // linux/rtnetlink.h; the package does not know it
const route = (data: object, attrs: Route['attrs']) =>
  written(formatRouteMessage, { kind: 'route', data, attrs } as Route);
type Link = Parameters<typeof formatLinkMessage>[0];
const link = (attrs: Link['attrs']) => written(formatLinkMessage, { kind: 'link', data: {}, attrs } as Link);

const ip = (text: string): Ip => parseIp(text) as Ip;
const bytes = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex');
const mac = '02:a0:00:00:00:ff';
const fe80 = bytes(`fe80${'00'.repeat(13)}07`);

/** One attribute, padded: struct nlattr, linux/netlink.h. */
function attribute(type: number, data: Uint8Array): Buffer {
  const out = new AttrStream();
  out.push(type, data);
  return Buffer.concat([...out.bufs, Buffer.alloc(-data.length & 3)]);
}

const v4 = { index: 300, dst: mustPrefix('10.244.3.0/24'), gateway: ip('10.244.3.0'), onlink: true, protocol: 217 };
const v6 = { index: 9, dst: mustPrefix('fd00:3::/64'), gateway: ip('fe80::7'), onlink: false, protocol: 217 };
const routed4 = { family: 2, dstLen: 24, table: 254, protocol: 217, scope: 0, type: 1 } as const;
const routed4to = { dst: bytes('0af40300'), gateway: bytes('0af40300'), oif: 300 };

t.test('requests have the bytes of the package', async (t) => {
  for (const [name, message, flags, expected] of [
    [
      'ip neigh replace',
      setNeighbour(9, ip('10.244.3.0'), mac),
      0x500,
      neighbour({ family: 2, ifindex: 9, state: { permanent: true } }, { dst: bytes('0af40300'), lladdr: bytes(mac) }),
    ],
    [
      'ip -6 neigh replace',
      setNeighbour(9, ip('fe80::7'), mac),
      0x500,
      neighbour({ family: 10, ifindex: 9, state: { permanent: true } }, { dst: fe80, lladdr: bytes(mac) }),
    ],
    ['ip neigh del', deleteNeighbour(9, ip('fe80::7')), 0, neighbour({ family: 10, ifindex: 9 }, { dst: fe80 })],
    [
      'bridge fdb add',
      newForwarding(9, mac, ip('192.0.2.7')),
      0x600,
      neighbour(
        { family: 7, ifindex: 9, state: { noarp: true, permanent: true }, flags: { self: true } },
        { lladdr: bytes(mac), dst: bytes('c0000207') },
      ),
    ],
    [
      'bridge fdb del',
      deleteForwarding(9, mac, ip('192.0.2.7')),
      0,
      neighbour({ family: 7, ifindex: 9, flags: { self: true } }, { lladdr: bytes(mac), dst: bytes('c0000207') }),
    ],
    ['ip neigh show dev', getNeighbours(9), 0, neighbour({}, { ifindex: bytes('09000000') })],
    ['bridge fdb show dev', getForwarding(9), 0, neighbour({ family: 7, ifindex: 9 }, {})],
    ['ip route add', newPodRoute(v4), 0x600, route({ ...routed4, flags: { __unknown: RTNH_F_ONLINK } }, routed4to)],
    [
      'ip route change',
      changePodRoute(v4),
      0x500,
      route({ ...routed4, flags: { __unknown: RTNH_F_ONLINK } }, routed4to),
    ],
    ['ip route del', deletePodRoute(v4), 0, route(routed4, routed4to)],
    [
      'ip -6 route add',
      newPodRoute(v6),
      0x600,
      route(
        { family: 10, dstLen: 64, table: 254, protocol: 217, scope: 0, type: 1 },
        { dst: bytes(`fd000003${'00'.repeat(12)}`), gateway: fe80, oif: 9 },
      ),
    ],
    [
      'ip link add type vxlan',
      newVxlan({ dev: 'tsbridge.vx4', mac, mtu: 1450, vni: 7311, port: 4789, local: ip('192.0.2.11') }),
      0x600,
      link({
        address: bytes(mac),
        mtu: 1450,
        ifname: 'tsbridge.vx4',
        linkinfo: Buffer.concat([
          attribute(1, Buffer.from('vxlan')), // IFLA_INFO_KIND
          attribute(
            2, // IFLA_INFO_DATA
            Buffer.concat([
              attribute(1, bytes('8f1c0000')), // IFLA_VXLAN_ID
              attribute(4, bytes('c000020b')), // IFLA_VXLAN_LOCAL
              attribute(7, bytes('00')), // IFLA_VXLAN_LEARNING
              attribute(15, bytes('12b5')), // IFLA_VXLAN_PORT, of network order
            ]),
          ),
        ]),
      }),
    ],
  ] as const) {
    t.equal(hex(message.body), hex(expected), name);
    t.equal(message.flags, flags, `${name}: flags`);
  }
});

t.test('what is written is read back', async (t) => {
  t.strictSame(parseNeighbour(setNeighbour(9, ip('10.244.3.0'), mac)), {
    index: 9,
    address: '10.244.3.0',
    mac,
    permanent: true,
  });
  t.equal(parseNeighbour(newForwarding(9, mac, ip('192.0.2.7'))), undefined, 'another family');
  t.strictSame(parseForwarding(newForwarding(9, mac, ip('192.0.2.7'))), { index: 9, mac, dst: '192.0.2.7' });
  t.equal(parseForwarding(setNeighbour(9, ip('10.244.3.0'), mac)), undefined);
  t.match(parseRouteStates(newPodRoute(v4)), [
    { dst: '10.244.3.0/24', gw: '10.244.3.0', oif: 300, protocol: 217, table: 254, priority: 0 },
  ]);
  for (const local of ['192.0.2.11', '2001:db8::11']) {
    t.strictSame(parseVxlan(newVxlan({ dev: 'a', mac, mtu: 1450, vni: 7311, port: 4789, local: ip(local) })), {
      vni: 7311,
      port: 4789,
      local,
      learning: false,
      hasDefault: false,
    });
  }
});
