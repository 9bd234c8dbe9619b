import fc from 'fast-check';
import t from 'tap';
import { contains, formatPrefix, mustPrefix, networkOf } from '../../../src/ip/prefix.ts';
import { localPrefixes } from '../../../src/plan/masquerade.ts';
import { netConf } from '../../support/netconf.ts';

const local = (nonMasqueradeCIDRs: string[], address: string, family: 4 | 6 = 4) =>
  localPrefixes(netConf({ nonMasqueradeCIDRs }), [{ address }], family);

t.test('the prefixes that pods reach with their own address: none lies in another', async (t) => {
  const table: [string, string[], string, string[]][] = [
    ['the network alone', [], '10.1.0.5/16', ['10.1.0.0/16']],
    ['in each other, in any order', ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24'], '10.1.0.5/16', ['10.0.0.0/8']],
    ['neighbours', ['10.1.2.0/25', '10.1.2.128/25'], '10.9.0.5/24', ['10.1.2.0/25', '10.1.2.128/25', '10.9.0.0/24']],
    ['twice', ['10.1.0.0/16', '10.1.0.0/16'], '10.1.0.5/16', ['10.1.0.0/16']],
    ['of the other family', ['fd00::/8'], '10.1.0.5/16', ['10.1.0.0/16']],
    ['everything', ['10.1.0.0/16', '0.0.0.0/0'], '10.1.0.5/16', ['0.0.0.0/0']],
  ];
  for (const [name, cidrs, address, wanted] of table) t.strictSame(local(cidrs, address), wanted, name);
  t.strictSame(local(['fd00::/8', '10.0.0.0/8'], 'fd00:1::5/64', 6), ['fd00::/8']);
});

const prefix = fc
  .record({ value: fc.bigInt({ min: 0n, max: 255n }), length: fc.integer({ min: 24, max: 32 }) })
  .map(({ value, length }) => formatPrefix(networkOf({ family: 4, value: 0x0a000000n + value, length })));

t.test('whatever the prefixes are, the widest remain', async () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 20 }), (cidrs) => {
      const address = '192.0.2.1/24';
      const all = [...new Set([...cidrs, '192.0.2.0/24'])].map(mustPrefix);
      const widest = all.filter((one) => !all.some((other) => other.length < one.length && contains(other, one)));
      return local(cidrs, address).sort().join() === widest.map(formatPrefix).sort().join();
    }),
  );
});
