import fc from 'fast-check';
import t from 'tap';
import { parseRangeSets, type RawRange } from '../../../src/cni/parse-ranges.ts';
import { formatIp, type Ip, parseIp } from '../../../src/ip/address.ts';
import {
  candidates,
  capacity,
  extent,
  isAllocatable,
  makePool,
  namesInPool,
  type Pool,
  showPool,
} from '../../../src/ipam/pool.ts';

function pool(ranges: RawRange[], exclude: string[] = []) {
  const [set = []] = parseRangeSets([{ path: 'ipam.ranges[0]', ranges }]);
  return makePool(set, exclude);
}

function inOrder(pool: Pool, last: Ip | undefined): string[] {
  const texts: string[] = [];
  for (const { family, low, high } of candidates(pool, last)) {
    for (let value = low; value <= high; value++) texts.push(formatIp({ family, value }));
  }
  return texts;
}

const tail = (start: string, end: string): RawRange => ({
  subnet: '10.0.0.0/24',
  rangeStart: `10.0.0.${start}`,
  rangeEnd: `10.0.0.${end}`,
});

const order = (ranges: RawRange[], last?: string, exclude?: string[]) =>
  inOrder(pool(ranges, exclude), last === undefined ? undefined : parseIp(last)).map((ip) =>
    ip.replace('10.0.0.', '.'),
  );

t.test('addresses are tried in the order of the reference plugin', async (t) => {
  const rows: [string, string[], string[]][] = [
    ['from the start, without the gateway', order([tail('1', '4')]), ['.2', '.3', '.4']],
    [
      'after the last one, which comes last itself',
      order([tail('1', '6')], '10.0.0.4'),
      ['.5', '.6', '.2', '.3', '.4'],
    ],
    ['after the end comes the start', order([tail('2', '4')], '10.0.0.4'), ['.2', '.3', '.4']],
    ['a last one that is the gateway', order([tail('1', '4')], '10.0.0.1'), ['.2', '.3', '.4']],
    ['a last one outside of the ranges', order([tail('5', '7')], '10.0.0.4'), ['.5', '.6', '.7']],
    ['a last one of the other family', order([tail('5', '7')], 'fd00::6'), ['.5', '.6', '.7']],
    [
      'range after range, round to the one that it began in',
      order([tail('10', '12'), tail('20', '21'), tail('30', '31')], '10.0.0.20'),
      ['.21', '.30', '.31', '.10', '.11', '.12', '.20'],
    ],
    [
      'a gateway is skipped in its own range only',
      order([
        { ...tail('10', '12'), gateway: '10.0.0.20' },
        { ...tail('20', '21'), gateway: '10.0.0.11' },
      ]),
      ['.10', '.11', '.12', '.20', '.21'],
    ],
    [
      'excluded ones are left out',
      order([tail('1', '9')], '10.0.0.5', ['10.0.0.4/30', '10.0.0.9/32']),
      ['.8', '.2', '.3'],
    ],
    ['everything excluded', order([tail('1', '9')], undefined, ['10.0.0.0/24']), []],
    ['a range of nothing but its gateway', order([tail('1', '1')]), []],
    ['the network address, when the range names it', order([tail('0', '2')]), ['.0', '.2']],
  ];
  for (const [name, found, wanted] of rows) t.strictSame(found, wanted, name);
});

t.test('huge ranges are not gone through', async (t) => {
  const huge = pool([{ subnet: 'fd00::/64' }], ['fd00::/65', 'fd00::8000:0:0:0/128']);
  t.strictSame(
    candidates(huge, undefined),
    [{ family: 6, low: parseIp('fd00::8000:0:0:1')?.value, high: parseIp('fd00::ffff:ffff:ffff:ffff')?.value }],
    'an excluded half is stepped over in one go',
  );
  t.equal(capacity(huge), 2n ** 63n - 1n);
  t.equal(extent(huge), 2n ** 64n - 1n);
  t.equal(showPool(huge), 'fd00::1-fd00::ffff:ffff:ffff:ffff');
});

t.test('which file names are addresses of the pool', async (t) => {
  const names = ['lock', 'last_reserved_ip.0', '.tsbridge', '10.0.0.1', '10.0.0.2', '10.0.0.9', '10.0.1.2', 'fd00::2'];
  t.strictSame(namesInPool(pool([tail('1', '8')]), names), ['10.0.0.2']);
});

t.test('every address of a pool is tried once, and no other, wherever round robin stands', async (t) => {
  const octet = fc.integer({ min: 0, max: 40 });
  const ranges = fc
    .uniqueArray(octet, { minLength: 2, maxLength: 8 })
    .map((ends) => ends.sort((a, b) => a - b))
    .map((ends) =>
      Array.from({ length: Math.floor(ends.length / 2) }, (_, i) => tail(`${ends[2 * i]}`, `${ends[2 * i + 1]}`)),
    );
  const exclude = fc.array(fc.tuple(octet, fc.integer({ min: 28, max: 32 })), { maxLength: 3 });
  fc.assert(
    fc.property(ranges, exclude, fc.option(octet), octet, (ranges, excluded, last, gateway) => {
      const withGateway = ranges.map((range) => ({ ...range, gateway: `10.0.0.${gateway}` }));
      const p = pool(
        withGateway,
        excluded.map(([low, length]) => `10.0.0.${low}/${length}`),
      );
      const found = inOrder(p, last === null ? undefined : parseIp(`10.0.0.${last}`));
      const all = Array.from({ length: 64 }, (_, i) => `10.0.0.${i}`).filter((text) => {
        const ip = parseIp(text);
        return ip && isAllocatable(p, ip);
      });
      const isExcluded = (i: number) => excluded.some(([low, n]) => i >> (32 - n) === low >> (32 - n));
      const byHand = Array.from({ length: 64 }, (_, i) => i)
        .filter((i) => i !== gateway && !isExcluded(i))
        .filter((i) => ranges.some((r) => i >= Number(r.rangeStart?.slice(7)) && i <= Number(r.rangeEnd?.slice(7))))
        .map((i) => `10.0.0.${i}`);
      if (JSON.stringify(all) !== JSON.stringify(byHand)) throw new Error(`allocatable: ${all}, by hand: ${byHand}`);
      if (JSON.stringify([...found].sort()) !== JSON.stringify([...all].sort()))
        throw new Error(`${found} is not ${all}`);
      if (capacity(p) !== BigInt(all.length)) throw new Error(`capacity ${capacity(p)}, ${all.length} addresses`);
    }),
    { numRuns: 500 },
  );
  t.pass();
});
