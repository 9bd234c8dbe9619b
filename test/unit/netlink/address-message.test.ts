import t from 'tap';
import { type Prefix, parsePrefix } from '../../../src/ip/prefix.ts';
import { deleteAddress, getAddresses, newAddress, parseAddressState } from '../../../src/netlink/address-message.ts';
import { bytes, hex } from './golden.ts';

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;

// `strace -e trace=sendmsg -e write=all COMMAND`, iproute2 6.1.0, strace 6.1; without struct nlmsghdr.
t.test('requests have the bytes and flags of the command', async (t) => {
  const table = [
    {
      command: 'ip addr add 10.1.0.5/24 brd + dev br0',
      message: newAddress(2, prefix('10.1.0.5/24'), false),
      type: 20,
      flags: 0x600,
      golden: '02180000 02000000 08000200 0a010005 08000100 0a010005 08000400 0a0100ff',
    },
    {
      command: 'ip addr add 10.1.1.0/31 dev br0: there is no room for a broadcast address',
      message: newAddress(2, prefix('10.1.1.0/31'), false),
      type: 20,
      flags: 0x600,
      golden: '021f0000 02000000 08000200 0a010100 08000100 0a010100',
    },
    {
      command: 'ip addr add fd00::5/64 dev br0 nodad',
      message: newAddress(2, prefix('fd00::5/64'), true),
      type: 20,
      flags: 0x600,
      golden: `0a400200 02000000 14000200 fd000000000000000000000000000005
        14000100 fd000000000000000000000000000005`,
    },
    {
      command: 'ip addr del 10.1.1.0/31 dev br0',
      message: deleteAddress(2, prefix('10.1.1.0/31')),
      type: 21,
      flags: 0,
      golden: '021f0000 02000000 08000200 0a010100 08000100 0a010100',
    },
    {
      command: 'ip addr show dev br0 (without the zeros that it sends behind)',
      message: getAddresses(2),
      type: 22,
      flags: 0,
      golden: '00000000 02000000',
    },
  ];
  for (const { command, message, type, flags, golden } of table) {
    t.strictSame(
      { type: message.type, flags: message.flags, body: hex(message.body) },
      { type, flags, body: hex(bytes(golden)) },
      command,
    );
  }
});

// `strace -e trace=recvmsg -e read=all ip addr show dev br0`, iproute2 6.1.0, Linux 6.18; without struct nlmsghdr.
t.test('replies', async (t) => {
  t.strictSame(
    parseAddressState({
      body: bytes(`02188000 02000000 08000100 0a010005 08000200 0a010005 08000400 0a0100ff 08000300 62723000 08000800 80000000
        14000600 ffffffff ffffffff 3ffe0400 3ffe0400`),
    }),
    { prefix: '10.1.0.5/24', family: 4, index: 2, scope: 0, tentative: false, dadFailed: false },
    'IPv4',
  );
  t.strictSame(
    parseAddressState({
      body: bytes(`0a40c000 02000000 14000100 fd000000000000000000000000000005 14000600 ffffffff ffffffff 3ffe0400 3ffe0400
        08000800 c0000000`),
    }),
    { prefix: 'fd00::5/64', family: 6, index: 2, scope: 0, tentative: true, dadFailed: false },
    'IPv6, tentative',
  );
  t.strictSame(
    parseAddressState({
      body: bytes(`0a40c8fd 02000000 14000100 fe80000000000000000000fffe000001 08000800 c8000000 05000b00 03 000000`),
    }),
    { prefix: 'fe80::ff:fe00:1/64', family: 6, index: 2, scope: 253, tentative: true, dadFailed: true },
    'IPv6, a duplicate; IFA_PROTO, which the tables do not know, is passed over',
  );
  t.equal(parseAddressState({ body: bytes('1c000000 02000000') }), undefined, 'other families are no addresses');
});
