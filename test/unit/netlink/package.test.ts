import { formatAddressMessage, formatLinkMessage, formatRouteMessage } from 'netlink/dist/rt/structs.js';
import { AttrStream, formatMessage, parseMessages } from 'netlink/dist/structs.js';
import t from 'tap';
import { type Prefix, parsePrefix } from '../../../src/ip/prefix.ts';
import { deleteAddress, getAddresses, newAddress } from '../../../src/netlink/address-message.ts';
import { deleteLink, getLink, getLinks, newBridge, newVeth, setLink } from '../../../src/netlink/link-message.ts';
import { decodeMessages, encodeMessages } from '../../../src/netlink/message.ts';
import { getRoutes, newRoute } from '../../../src/netlink/route-message.ts';
import { hex } from './golden.ts';

// The package netlink has an encoder for everything that is written directly in src: the bytes have to be its.

/** What one of the package's encoders writes. */
function written<T>(format: (message: T, out: AttrStream) => void, message: T): Buffer {
  const out = new AttrStream();
  format(message, out);
  return Buffer.concat(out.bufs);
}

type Link = Parameters<typeof formatLinkMessage>[0];
const link = (data: Link['data'], attrs: Link['attrs']) =>
  written(formatLinkMessage, { kind: 'link', data, attrs } as Link);

type Address = Parameters<typeof formatAddressMessage>[0];
const address = (data: Address['data'], attrs: Address['attrs']) =>
  written(formatAddressMessage, { kind: 'address', data, attrs } as Address);

type Route = Parameters<typeof formatRouteMessage>[0];
const route = (data: Route['data'], attrs: Route['attrs']) =>
  written(formatRouteMessage, { kind: 'route', data, attrs } as Route);

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;
const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex');
const u32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer);

/** One attribute, with the padding that it has inside another: struct nlattr, linux/netlink.h. */
function attribute(type: number, data: Uint8Array): Buffer {
  const out = new AttrStream();
  out.push(type, data);
  return Buffer.concat([...out.bufs, Buffer.alloc(-data.length & 3)]);
}

t.test('requests have the bytes of the package', async (t) => {
  const kind = (type: number, name: string) => attribute(type, Buffer.from(name));
  const table = [
    ['getLink of a name', getLink('veth1'), link({}, { extMask: u32(8), ifname: 'veth1' })],
    ['getLink of an index', getLink(300), link({ index: 300 }, { extMask: u32(8) })],
    ['getLinks of a master', getLinks({ master: 70_000 }), link({}, { extMask: u32(8), master: 70_000 })],
    ['getLinks of a kind', getLinks({ kind: 'bridge' }), link({}, { extMask: u32(8), linkinfo: kind(1, 'bridge') })],
    [
      'newBridge',
      newBridge({ dev: 'br0', mac: '02:a0:00:00:00:ff', mtu: 9000, vlanFiltering: false }),
      link({}, { address: mac('02:a0:00:00:00:ff'), mtu: 9000, ifname: 'br0', linkinfo: kind(1, 'bridge') }),
    ],
    [
      'newVeth',
      newVeth({
        dev: 'veth1',
        mac: '02:00:00:00:00:01',
        mtu: 1400,
        master: 7,
        peer: { dev: 'eth0', mac: '02:00:00:00:00:02', netns: 5 },
      }),
      link(
        { flags: { up: true }, change: { up: true } },
        {
          address: mac('02:00:00:00:00:01'),
          mtu: 1400,
          master: 7,
          ifname: 'veth1',
          linkinfo: Buffer.concat([
            kind(1, 'veth'),
            attribute(
              2,
              attribute(
                1,
                Buffer.concat([
                  link({}, { address: mac('02:00:00:00:00:02'), mtu: 1400, netNsFd: 5, ifname: 'eth0' }),
                  Buffer.alloc(3),
                ]),
              ),
            ),
          ]),
        },
      ),
    ],
    [
      'setLink of everything that has no kind',
      setLink('eth0', { mac: '02:00:00:00:00:03', mtu: 1300, alias: 'né/a/b', up: true, promisc: true, master: 3 }),
      link(
        { flags: { up: true, promisc: true }, change: { up: true, promisc: true } },
        { address: mac('02:00:00:00:00:03'), mtu: 1300, master: 3, ifalias: 'né/a/b', ifname: 'eth0' },
      ),
    ],
    ['setLink down', setLink(4, { up: false }), link({ index: 4, change: { up: true } }, {})],
    ['deleteLink', deleteLink('veth1'), link({}, { ifname: 'veth1' })],
    [
      'newAddress',
      newAddress(4, prefix('10.1.0.5/24'), false),
      address(
        { family: 2, prefixlen: 24, index: 4 },
        {
          local: Buffer.from([10, 1, 0, 5]),
          address: Buffer.from([10, 1, 0, 5]),
          broadcast: Buffer.from([10, 1, 0, 255]),
        },
      ),
    ],
    [
      'newAddress without duplicate address detection',
      newAddress(4, prefix('fd00::5/64'), true),
      address(
        { family: 10, prefixlen: 64, flags: { nodad: true }, index: 4 },
        { local: mac(`fd${'00'.repeat(14)}05`), address: mac(`fd${'00'.repeat(14)}05`) },
      ),
    ],
    [
      'deleteAddress',
      deleteAddress(4, prefix('10.1.0.5/31')),
      address(
        { family: 2, prefixlen: 31, index: 4 },
        { local: Buffer.from([10, 1, 0, 5]), address: Buffer.from([10, 1, 0, 5]) },
      ),
    ],
    ['getAddresses', getAddresses(4), address({ index: 4 }, {})],
    [
      'newRoute',
      newRoute(3, prefix('10.9.0.0/16'), { gw: '10.1.0.1', priority: 5, table: 1000, mtu: 1400, advmss: 1300 }),
      route(
        { family: 2, dstLen: 16, table: 0, protocol: 3, scope: 0, type: 1 },
        {
          dst: Buffer.from([10, 9, 0, 0]),
          gateway: Buffer.from([10, 1, 0, 1]),
          table: 1000,
          priority: 5,
          metrics: { mtu: u32(1400), advmss: u32(1300) },
          oif: 3,
        },
      ),
    ],
    [
      'newRoute on the link',
      newRoute(3, prefix('10.9.0.1/32'), {}),
      route(
        { family: 2, dstLen: 32, table: 254, protocol: 3, scope: 253, type: 1 },
        { dst: Buffer.from([10, 9, 0, 1]), oif: 3 },
      ),
    ],
    ['getRoutes of a table', getRoutes({ table: 254 }), route({}, { table: 254 })],
    ['getRoutes', getRoutes({}), route({}, {})],
  ] as const;
  for (const [name, message, expected] of table) t.equal(hex(message.body), hex(expected), name);
});

t.test('datagrams have the bytes of the package, and are taken apart as it does', async (t) => {
  const messages = [newAddress(4, prefix('10.1.0.5/24'), false), getLink('veth1'), deleteLink('eth0')];
  const datagram = Buffer.from(
    encodeMessages(
      messages,
      7,
      messages.map((_, i) => 0x401 + i),
    ),
  );
  const parts = messages.flatMap(({ type, body }, i) => [
    ...formatMessage({ type, flags: 0x401 + i, seq: 7 + i, port: 0, data: body }),
    Buffer.alloc(-body.length & 3),
  ]);
  t.equal(hex(datagram), hex(Buffer.concat(parts)));
  t.strictSame(
    decodeMessages(datagram).map(({ body, ...rest }) => ({ ...rest, body: hex(body) })),
    parseMessages(datagram).map(({ data, type, flags, seq }) => ({ type, flags, seq, body: hex(data as Buffer) })),
  );
  t.throws(() => decodeMessages(datagram.subarray(0, 30)), {
    code: 100,
    message: /^the kernel's answer is no netlink message: it says 48 bytes/,
  });
});
