import fc from 'fast-check';
import t from 'tap';
import { type Family, familyOf, formatIp, ipToBytes } from '../../../../src/ip/address.ts';
import { formatPrefix, lastOf, networkOf } from '../../../../src/ip/prefix.ts';
import { addressBytes, prefixInterval } from '../../../../src/netlink/nftables/address.ts';
import { hex } from '../golden.ts';

const ip = fc
  .constantFrom<Family>(4, 6)
  .chain((family) =>
    fc.bigInt({ min: 0n, max: (1n << (family === 4 ? 32n : 128n)) - 1n }).map((value) => ({ family, value })),
  );

t.test('addressBytes() agrees with ip/address', async (t) => {
  fc.assert(
    fc.property(
      ip,
      (one) => hex(addressBytes(formatIp(one))) === hex(ipToBytes(one)) && familyOf(formatIp(one)) === one.family,
    ),
  );
  t.equal(hex(addressBytes('::')), '0'.repeat(32));
  t.equal(hex(addressBytes('fd00::1:0:0:5')), 'fd000000000000000001000000000005');
  t.equal(hex(addressBytes('255.0.10.1')), 'ff000a01');
});

t.test('prefixInterval() ends behind the last address of the prefix', async (t) => {
  fc.assert(
    fc.property(ip, fc.nat(128), (one, length) => {
      const prefix = networkOf({ ...one, length: Math.min(length, one.family === 4 ? 32 : 128) });
      const { first, end } = prefixInterval(formatPrefix(prefix));
      const last = lastOf(prefix);
      const isTop = last.value === (1n << (one.family === 4 ? 32n : 128n)) - 1n;
      const behind = isTop ? undefined : hex(ipToBytes({ ...last, value: last.value + 1n }));
      return hex(first) === hex(ipToBytes(prefix)) && (end && hex(end)) === behind;
    }),
  );
  t.strictSame(prefixInterval('10.255.0.0/16'), {
    first: Uint8Array.of(10, 255, 0, 0),
    end: Uint8Array.of(11, 0, 0, 0),
  });
  t.strictSame(prefixInterval('0.0.0.0/0'), { first: Uint8Array.of(0, 0, 0, 0) }, 'no end');
});
