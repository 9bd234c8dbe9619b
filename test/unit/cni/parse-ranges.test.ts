import t from 'tap';
import { parseRangeSets, type RawRange, type RawRangeSet } from '../../../src/cni/parse-ranges.ts';

const one = (range: RawRange): RawRangeSet[] => [{ path: 'ipam.ranges[0]', ranges: [range] }];

t.test('a range is made canonical and gets its defaults', async (t) => {
  const rows: [string, RawRange, string[]][] = [
    [
      'IPv4: from the first address after the network to the last before broadcast, gateway first',
      { subnet: '10.1.0.0/16' },
      ['10.1.0.0/16', '10.1.0.1', '10.1.255.254', '10.1.0.1'],
    ],
    [
      'IPv6: up to the last address, as there is no broadcast',
      { subnet: 'FD00:0:0:1::/64' },
      ['fd00:0:0:1::/64', 'fd00:0:0:1::1', 'fd00::1:ffff:ffff:ffff:ffff', 'fd00:0:0:1::1'],
    ],
    [
      'the network and the broadcast address, when the range names them',
      { subnet: '10.1.2.0/24', rangeStart: '10.1.2.0', rangeEnd: '10.1.2.255' },
      ['10.1.2.0/24', '10.1.2.0', '10.1.2.255', '10.1.2.1'],
    ],
    ['the smallest IPv4 subnet', { subnet: '10.1.2.0/30' }, ['10.1.2.0/30', '10.1.2.1', '10.1.2.2', '10.1.2.1']],
    ['the smallest IPv6 subnet', { subnet: 'fd00::/126' }, ['fd00::/126', 'fd00::1', 'fd00::3', 'fd00::1']],
    [
      'a gateway elsewhere in the subnet frees the first address',
      { subnet: '10.1.2.0/24', gateway: '10.1.2.254' },
      ['10.1.2.0/24', '10.1.2.1', '10.1.2.254', '10.1.2.254'],
    ],
    [
      'a gateway outside of the subnet',
      { subnet: '10.1.2.0/24', gateway: '10.9.9.9' },
      ['10.1.2.0/24', '10.1.2.1', '10.1.2.254', '10.9.9.9'],
    ],
    [
      'empty texts count as absent',
      { subnet: '10.1.2.0/24', rangeStart: '', rangeEnd: '', gateway: '' },
      ['10.1.2.0/24', '10.1.2.1', '10.1.2.254', '10.1.2.1'],
    ],
    [
      'IPv4-mapped addresses are IPv4 addresses',
      { subnet: '10.1.2.0/24', rangeStart: '::ffff:10.1.2.9', gateway: '::ffff:10.1.2.8' },
      ['10.1.2.0/24', '10.1.2.9', '10.1.2.254', '10.1.2.8'],
    ],
    [
      'a range of one address',
      { subnet: '10.1.2.0/24', rangeStart: '10.1.2.9', rangeEnd: '10.1.2.9' },
      ['10.1.2.0/24', '10.1.2.9', '10.1.2.9', '10.1.2.1'],
    ],
  ];
  for (const [name, raw, [subnet, rangeStart, rangeEnd, gateway]] of rows) {
    t.strictSame(parseRangeSets(one(raw)), [[{ subnet, rangeStart, rangeEnd, gateway }]], name);
  }
});

t.test('what is wrong with ranges is said with the key, what was found and what is allowed', async (t) => {
  const sets = (...ranges: RawRange[][]): RawRangeSet[] =>
    ranges.map((ranges, i) => ({ path: `ipam.ranges[${i}]`, ranges }));
  const rows: [RawRangeSet[], string][] = [
    [sets([]), 'ipam.ranges[0]: an empty range set; at least one range with a subnet is needed'],
    [
      one({}),
      'ipam.ranges[0][0].subnet: missing; it must be a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64',
    ],
    [
      one({ subnet: '10.1.0.0' }),
      "ipam.ranges[0][0].subnet: '10.1.0.0' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64",
    ],
    [
      one({ subnet: '::ffff:10.0.0.0/120' }),
      "ipam.ranges[0][0].subnet: '::ffff:10.0.0.0/120' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64",
    ],
    [
      one({ subnet: '::ffff:10.0.0.0/24' }),
      "ipam.ranges[0][0].subnet: '::ffff:10.0.0.0/24' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64",
    ],
    [
      one({ subnet: '192.0.2.3/24' }),
      'ipam.ranges[0][0].subnet: 192.0.2.3/24 has host bits set; with a prefix length of 24 the network address is 192.0.2.0',
    ],
    [
      one({ subnet: '192.0.2.0/31' }),
      'ipam.ranges[0][0].subnet: 192.0.2.0/31 is too small to allocate from; the longest prefix allowed is /30',
    ],
    [
      one({ subnet: 'fd00::/127' }),
      'ipam.ranges[0][0].subnet: fd00::/127 is too small to allocate from; the longest prefix allowed is /126',
    ],
    [
      one({ subnet: '10.1.0.0/16', rangeStart: '10.2.0.5' }),
      'ipam.ranges[0][0].rangeStart: 10.2.0.5 is not in 10.1.0.0/16',
    ],
    [one({ subnet: '10.1.0.0/16', rangeEnd: 'fd00::1' }), 'ipam.ranges[0][0].rangeEnd: fd00::1 is not in 10.1.0.0/16'],
    [
      one({ subnet: '10.1.0.0/16', rangeStart: '10.1.0.05' }),
      "ipam.ranges[0][0].rangeStart: '10.1.0.05' is not an IP address; it must be an address in 10.1.0.0/16",
    ],
    [
      one({ subnet: '10.1.0.0/16', rangeStart: '10.1.0.9', rangeEnd: '10.1.0.8' }),
      "ipam.ranges[0][0].rangeStart: 10.1.0.9 is after the range's end, 10.1.0.8",
    ],
    [
      one({ subnet: '10.1.0.0/16', rangeEnd: '10.1.0.0' }),
      "ipam.ranges[0][0].rangeEnd: 10.1.0.0 is before the range's start, 10.1.0.1",
    ],
    [
      one({ subnet: '10.1.0.0/16', gateway: 'gw' }),
      "ipam.ranges[0][0].gateway: 'gw' is not an IP address; it must be an IPv4 address",
    ],
    [
      one({ subnet: 'fd00::/64', gateway: '10.1.0.1' }),
      'ipam.ranges[0][0].gateway: 10.1.0.1 is an IPv4 address; the gateway of fd00::/64 must be IPv6',
    ],
    [
      sets([{ subnet: '10.1.0.0/16' }, { subnet: 'fd00::/64' }]),
      'ipam.ranges[0][1].subnet: fd00::/64 is IPv6, but ipam.ranges[0][0].subnet is IPv4',
    ],
    [
      sets([{ subnet: '10.1.0.0/22' }, { subnet: '10.1.2.0/24' }]),
      'ipam.ranges[0][1]: 10.1.2.1-10.1.2.254 overlaps 10.1.0.1-10.1.3.254 of ipam.ranges[0][0]',
    ],
    [
      sets([{ subnet: '10.1.0.0/24' }], [{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.200' }]),
      'ipam.ranges[1][0]: 10.1.0.200-10.1.0.254 overlaps 10.1.0.1-10.1.0.254 of ipam.ranges[0][0]',
    ],
    [
      [{ path: 'ipam', range: { subnet: '10.1.0.0/16', rangeStart: '10.2.0.5' } }],
      'ipam.rangeStart: 10.2.0.5 is not in 10.1.0.0/16',
    ],
    [
      [{ path: 'runtimeConfig.ipRanges[0]', ranges: [{ subnet: 'x' }] }],
      "runtimeConfig.ipRanges[0][0].subnet: 'x' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64",
    ],
  ];
  for (const [raw, message] of rows) t.throws(() => parseRangeSets(raw), { code: 7, message }, message);
});

t.test('ranges of one subnet are kept apart by their ends', async (t) => {
  const sets = parseRangeSets([
    { path: 'a', ranges: [{ subnet: '10.1.0.0/24', rangeEnd: '10.1.0.99' }] },
    { path: 'b', ranges: [{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.100' }, { subnet: '10.1.1.0/24' }] },
    { path: 'c', ranges: [{ subnet: 'fd00::/64' }] },
  ]);
  t.strictSame(
    sets.map((set) => set.map(({ rangeStart, rangeEnd }) => `${rangeStart}-${rangeEnd}`)),
    [['10.1.0.1-10.1.0.99'], ['10.1.0.100-10.1.0.254', '10.1.1.1-10.1.1.254'], ['fd00::1-fd00::ffff:ffff:ffff:ffff']],
  );
});
