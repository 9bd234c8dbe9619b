import t from 'tap';
import { text } from '../../../../src/linux/bytes.ts';
import type { Message } from '../../../../src/netlink/message.ts';
import { batchBegin, batchEnd, generationOf, getGeneration } from '../../../../src/netlink/nftables/batch.ts';
import { delChain, getChain, newChain } from '../../../../src/netlink/nftables/chain.ts';
import { commentData, commentOf } from '../../../../src/netlink/nftables/comment.ts';
import {
  BASE,
  CMP,
  cmp,
  counter,
  drop,
  lookup,
  META,
  mask,
  masquerade,
  meta,
  payload,
  REG,
} from '../../../../src/netlink/nftables/expression.ts';
import { attribute, attributes } from '../../../../src/netlink/nftables/reader.ts';
import { delRule, getRules, newRule, ruleOf } from '../../../../src/netlink/nftables/rule.ts';
import {
  delElements,
  delSet,
  elementsIn,
  getElement,
  getElements,
  getSet,
  getSets,
  KEY,
  newElements,
  newSet,
  setNameOf,
} from '../../../../src/netlink/nftables/set.ts';
import { delTable, getTable, getTables, newTable, tableOf } from '../../../../src/netlink/nftables/table.ts';
import { NFPROTO } from '../../../../src/netlink/nftables/types.ts';
import { NftWriter } from '../../../../src/netlink/nftables/writer.ts';
import { bytes, hex } from '../golden.ts';

const writer = new NftWriter();
const inet = NFPROTO.INET;
const bridge = NFPROTO.BRIDGE;

const masqueradeRule = (family: 4 | 6, pods: [string, number], local: [string, number]) => () => {
  meta(writer, META.NFPROTO);
  cmp(writer, CMP.EQ, Uint8Array.of(family === 4 ? NFPROTO.IPV4 : NFPROTO.IPV6));
  const [source, destination, length] = family === 4 ? [12, 16, 4] : [8, 24, 16];
  payload(writer, REG.ONE, BASE.NETWORK, source, length);
  lookup(writer, ...pods, true);
  payload(writer, REG.ONE, BASE.NETWORK, destination, length);
  lookup(writer, ...local, false);
  payload(writer, REG.ONE, BASE.NETWORK, destination, family === 4 ? 4 : 1);
  if (family === 4) mask(writer, Uint8Array.of(0xf0, 0, 0, 0));
  cmp(writer, CMP.NEQ, family === 4 ? Uint8Array.of(224, 0, 0, 0) : Uint8Array.of(255));
  counter(writer);
  masquerade(writer);
};

const spoofRule = () => {
  meta(writer, META.IIFNAME);
  lookup(writer, 'checked', 1, true);
  meta(writer, META.IIFNAME);
  payload(writer, REG.TWO, BASE.LINK, 6, 6);
  lookup(writer, 'allowed', 2, false);
  counter(writer);
  drop(writer);
};

const v4 = (...parts: number[]) => Uint8Array.of(...parts);
const fd00 = (last: number, fourth = 0) => bytes(`fd000000 0000000${fourth} 00000000 0000000${last}`);

const NEW = 0x400; // NLM_F_CREATE
const table = '0d000100 747362726964676500 000000'; // NFTA_*_TABLE "tsbridge"

// `strace -e trace=sendmsg -e write=3 nft COMMAND`, nftables 1.0.6, libnftnl 1.2.4, strace 6.1; without struct nlmsghdr.
t.test('requests have the bytes of the command', async (t) => {
  const rows: { command: string; message: Message; flags: number; golden: string }[] = [
    {
      command: 'the beginning of every batch',
      message: batchBegin(writer),
      flags: 0,
      golden: '0000000a',
    },
    {
      command: 'the end of every batch',
      message: batchEnd(writer),
      flags: 0,
      golden: '0000000a',
    },
    {
      // nft sends no flags here; NLM_F_CREATE says what is meant.
      command: 'add table inet tsbridge { comment "CNI plugin tsbridge"; }',
      message: newTable(writer, inet, 'tsbridge', 'CNI plugin tsbridge'),
      flags: NEW,
      golden: `01000000 ${table}
        08000200 00000000
        1a000600 0014434e4920706c7567696e20747362726964676500 0000`,
    },
    {
      command: 'delete table inet tsbridge',
      message: delTable(writer, inet, 'tsbridge'),
      flags: 0,
      golden: `01000000 ${table}`,
    },
    {
      command: 'add chain inet tsbridge postrouting { type nat hook postrouting priority srcnat; policy accept; }',
      message: newChain(writer, inet, 'tsbridge', 'postrouting', { type: 'nat', number: 4, priority: 100 }),
      flags: NEW,
      golden: `01000000 ${table}
        10000300 706f7374726f7574696e6700
        08000700 6e617400
        08000500 00000001
        14000480 08000100 00000004 08000200 00000064`,
    },
    {
      command: 'add chain bridge tsbridge prerouting { type filter hook prerouting priority -300; policy accept; }',
      message: newChain(writer, bridge, 'tsbridge', 'prerouting', { type: 'filter', number: 0, priority: -300 }),
      flags: NEW,
      golden: `07000000 ${table}
        0f000300 707265726f7574696e6700 00
        0b000700 66696c74657200 00
        08000500 00000001
        14000480 08000100 00000000 08000200 fffffed4`,
    },
    {
      command: 'delete chain inet tsbridge postrouting',
      message: delChain(writer, inet, 'tsbridge', 'postrouting'),
      flags: 0,
      golden: `01000000 ${table} 10000300 706f7374726f7574696e6700`,
    },
    {
      command: 'add set inet tsbridge pods4.podnet { type ipv4_addr; counter; }',
      message: newSet(writer, inet, 'tsbridge', { name: 'pods4.podnet', key: KEY.IPV4_ADDR, counter: true }, 1, false),
      flags: NEW,
      golden: `01000000 ${table}
        11000200 706f6473342e706f646e657400 000000
        08000300 00000000
        08000400 00000007
        08000500 00000004
        08000a00 00000001
        0a000d00 000402000000 0000
        14001180 0c000100 636f756e74657200 04000280`,
    },
    {
      command: 'add set inet tsbridge local6.podnet { type ipv6_addr; flags interval; }',
      message: newSet(
        writer,
        inet,
        'tsbridge',
        { name: 'local6.podnet', key: KEY.IPV6_ADDR, interval: true },
        4,
        false,
      ),
      flags: NEW,
      golden: `01000000 ${table}
        12000200 6c6f63616c362e706f646e657400 0000
        08000300 00000004
        08000400 00000008
        08000500 00000010
        08000a00 00000004
        0a000d00 000402000000 0000`,
    },
    {
      command: 'add set bridge tsbridge checked { type ifname; }, exclusively',
      message: newSet(writer, bridge, 'tsbridge', { name: 'checked', key: KEY.IFNAME }, 1, true),
      flags: NEW | 0x200, // NLM_F_EXCL
      golden: `07000000 ${table}
        0c000200 636865636b656400
        08000300 00000000
        08000400 00000029
        08000500 00000010
        08000a00 00000001
        0a000d00 000401000000 0000`,
    },
    {
      // nft's userdata goes on with 0308 00040d000000 0100, which says "a concatenation" once more.
      command: 'add set bridge tsbridge allowed { type ifname . ether_addr; }',
      message: newSet(writer, bridge, 'tsbridge', { name: 'allowed', key: KEY.IFNAME_ETHER_ADDR }, 2, false),
      flags: NEW,
      golden: `07000000 ${table}
        0c000200 616c6c6f77656400
        08000300 00000000
        08000400 00000a49
        08000500 00000018
        08000a00 00000002
        0a000d00 000400000000 0000`,
    },
    {
      command: 'delete set inet tsbridge pods4.podnet',
      message: delSet(writer, inet, 'tsbridge', 'pods4.podnet'),
      flags: 0,
      golden: `01000000 ${table} 11000200 706f6473342e706f646e657400 000000`,
    },
    {
      command:
        'add rule inet tsbridge postrouting ip saddr @pods4.podnet ip daddr != @local4.podnet ip daddr != 224.0.0.0/4 counter masquerade comment "network podnet"',
      message: newRule(
        writer,
        inet,
        'tsbridge',
        'postrouting',
        'network podnet',
        masqueradeRule(4, ['pods4.podnet', 1], ['local4.podnet', 2]),
      ),
      flags: NEW | 0x800, // NLM_F_APPEND
      golden: `01000000 ${table}
        10000200 706f7374726f7574696e6700
        00020480
        24000180 09000100 6d65746100 000000 14000280 08000200 0000000f 08000100 00000001
        2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 05000100 02 000000
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
        38000180 0b000100 6c6f6f6b757000 00 28000280 08000200 00000001 11000100 706f6473342e706f646e657400 000000 08000400 00000001
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000004
        40000180 0b000100 6c6f6f6b757000 00 30000280 08000200 00000001 12000100 6c6f63616c342e706f646e657400 0000 08000400 00000002 08000500 00000001
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000001 08000200 00000001 08000300 00000010 08000400 00000004
        44000180 0c000100 6269747769736500 34000280 08000100 00000001 08000200 00000001 08000300 00000004 0c000480 08000100 f0000000 0c000580 08000100 00000000
        2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000001 0c000380 08000100 e0000000
        14000180 0c000100 636f756e74657200 04000280
        14000180 09000100 6d61737100 000000 04000280
        15000700 000f6e6574776f726b20706f646e657400 000000`,
    },
    {
      command:
        'add rule inet tsbridge postrouting ip6 saddr @pods6.podnet ip6 daddr != @local6.podnet ip6 daddr != ff00::/8 counter masquerade comment "network podnet"',
      message: newRule(
        writer,
        inet,
        'tsbridge',
        'postrouting',
        'network podnet',
        masqueradeRule(6, ['pods6.podnet', 3], ['local6.podnet', 4]),
      ),
      flags: NEW | 0x800,
      golden: `01000000 ${table}
        10000200 706f7374726f7574696e6700
        bc010480
        24000180 09000100 6d65746100 000000 14000280 08000200 0000000f 08000100 00000001
        2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000 0c000380 05000100 0a 000000
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000001 08000200 00000001 08000300 00000008 08000400 00000010
        38000180 0b000100 6c6f6f6b757000 00 28000280 08000200 00000001 11000100 706f6473362e706f646e657400 000000 08000400 00000003
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000001 08000200 00000001 08000300 00000018 08000400 00000010
        40000180 0b000100 6c6f6f6b757000 00 30000280 08000200 00000001 12000100 6c6f63616c362e706f646e657400 0000 08000400 00000004 08000500 00000001
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000001 08000200 00000001 08000300 00000018 08000400 00000001
        2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000001 0c000380 05000100 ff 000000
        14000180 0c000100 636f756e74657200 04000280
        14000180 09000100 6d61737100 000000 04000280
        15000700 000f6e6574776f726b20706f646e657400 000000`,
    },
    {
      command:
        'add rule bridge tsbridge prerouting iifname @checked iifname . ether saddr != @allowed counter drop comment "z"',
      message: newRule(writer, bridge, 'tsbridge', 'prerouting', 'z', spoofRule),
      flags: NEW | 0x800,
      golden: `07000000 ${table}
        0f000200 707265726f7574696e6700 00
        2c010480
        24000180 09000100 6d65746100 000000 14000280 08000200 00000006 08000100 00000001
        30000180 0b000100 6c6f6f6b757000 00 20000280 08000200 00000001 0c000100 636865636b656400 08000400 00000001
        24000180 09000100 6d65746100 000000 14000280 08000200 00000006 08000100 00000001
        34000180 0c000100 7061796c6f616400 24000280 08000100 00000002 08000200 00000000 08000300 00000006 08000400 00000006
        38000180 0b000100 6c6f6f6b757000 00 28000280 08000200 00000001 0c000100 616c6c6f77656400 08000400 00000002 08000500 00000001
        14000180 0c000100 636f756e74657200 04000280
        30000180 0e000100 696d6d65646961746500 0000 1c000280 08000100 00000000 10000280 0c000280 08000100 00000000
        08000700 00027a00`,
    },
    {
      command: 'delete rule inet tsbridge postrouting handle 8',
      message: delRule(writer, inet, 'tsbridge', 'postrouting', bytes('0000000000000008')),
      flags: 0,
      golden: `01000000 ${table} 10000200 706f7374726f7574696e6700 0c000300 0000000000000008`,
    },
    {
      command: 'flush chain inet tsbridge postrouting',
      message: delRule(writer, inet, 'tsbridge', 'postrouting'),
      flags: 0,
      golden: `01000000 ${table} 10000200 706f7374726f7574696e6700`,
    },
    {
      command:
        'add element inet tsbridge pods4.podnet { 10.1.0.5 comment "network=podnet container=abc interface=eth0" }',
      message: newElements(
        writer,
        inet,
        'tsbridge',
        'pods4.podnet',
        [{ key: v4(10, 1, 0, 5), comment: 'network=podnet container=abc interface=eth0' }],
        { id: 1 },
      ),
      flags: NEW,
      golden: `01000000 ${table}
        11000200 706f6473342e706f646e657400 000000
        08000400 00000001
        48000380 44000180 0c000180 08000100 0a010005
        32000600 002c6e6574776f726b3d706f646e657420636f6e7461696e65723d61626320696e746572666163653d6574683000 0000`,
    },
    {
      command: 'create element inet tsbridge pods4.podnet { 10.1.0.6 comment "c" }',
      message: newElements(writer, inet, 'tsbridge', 'pods4.podnet', [{ key: v4(10, 1, 0, 6), comment: 'c' }], {
        exclusive: true,
        id: 1,
      }),
      flags: NEW | 0x200,
      golden: `01000000 ${table}
        11000200 706f6473342e706f646e657400 000000
        08000400 00000001
        1c000380 18000180 0c000180 08000100 0a010006
        08000600 00026300`,
    },
    {
      command: 'add element inet tsbridge local4.podnet { 10.3.0.0/16 }',
      message: newElements(
        writer,
        inet,
        'tsbridge',
        'local4.podnet',
        [{ key: v4(10, 3, 0, 0) }, { key: v4(10, 4, 0, 0), end: true }],
        { id: 2 },
      ),
      flags: NEW,
      golden: `01000000 ${table}
        12000200 6c6f63616c342e706f646e657400 0000
        08000400 00000002
        2c000380
        10000180 0c000180 08000100 0a030000
        18000280 08000300 00000001 0c000180 08000100 0a040000`,
    },
    {
      command: 'add element inet tsbridge pods6.podnet { fd00::5 comment "c" }',
      message: newElements(writer, inet, 'tsbridge', 'pods6.podnet', [{ key: fd00(5), comment: 'c' }], { id: 3 }),
      flags: NEW,
      golden: `01000000 ${table}
        11000200 706f6473362e706f646e657400 000000
        08000400 00000003
        28000380 24000180 18000180 14000100 fd000000 00000000 00000000 00000005
        08000600 00026300`,
    },
    {
      command: 'add element bridge tsbridge allowed { "veth1" . 02:00:00:00:00:01 comment "c" }',
      message: newElements(
        writer,
        bridge,
        'tsbridge',
        'allowed',
        [{ key: bytes('76657468310000000000000000000000 020000000001 0000'), comment: 'c' }],
        { id: 6 },
      ),
      flags: NEW,
      golden: `07000000 ${table}
        0c000200 616c6c6f77656400
        08000400 00000006
        30000380 2c000180 20000180 1c000100 76657468310000000000000000000000 020000000001 0000
        08000600 00026300`,
    },
    {
      command: 'delete element inet tsbridge pods4.podnet { 10.1.0.5 }',
      message: delElements(writer, inet, 'tsbridge', 'pods4.podnet', [{ key: v4(10, 1, 0, 5) }]),
      flags: 0,
      golden: `01000000 ${table}
        11000200 706f6473342e706f646e657400 000000
        14000380 10000180 0c000180 08000100 0a010005`,
    },
  ];
  for (const { command, message, flags, golden } of rows) {
    t.strictSame({ flags: message.flags, body: hex(message.body) }, { flags, body: hex(bytes(golden)) }, command);
  }
});

// libnftnl names the set before its table in these.
t.test('requests that nft writes in another order', async (t) => {
  const rows: { command: string; message: Message; golden: string }[] = [
    {
      command: 'flush set inet tsbridge local4.podnet',
      message: delElements(writer, inet, 'tsbridge', 'local4.podnet'),
      golden: '01000000 12000200 6c6f63616c342e706f646e657400 0000 0d000100 747362726964676500 000000',
    },
    {
      command: 'get element inet tsbridge pods4.podnet { 10.1.0.5 }',
      message: getElement(writer, inet, 'tsbridge', 'pods4.podnet', v4(10, 1, 0, 5)),
      golden: `01000000 11000200 706f6473342e706f646e657400 000000 0d000100 747362726964676500 000000
        14000380 10000180 0c000180 08000100 0a010005`,
    },
  ];
  const sorted = (body: Buffer) =>
    attributes(body.subarray(4))
      .map(({ type, value }) => `${type} ${hex(value)}`)
      .sort();
  for (const { command, message, golden } of rows) {
    t.strictSame(sorted(message.body as Buffer), sorted(bytes(golden)), command);
  }
});

t.test('requests that nft does not send', async (t) => {
  const name = '11000200 706f6473342e706f646e657400 000000';
  t.equal(hex(batchBegin(writer, 0x01020304).body), hex(bytes('0000000a 08000100 01020304')), 'NFNL_BATCH_GENID');
  t.strictSame(
    [getGeneration(writer), getSet(writer, inet, 'tsbridge', 'pods4.podnet'), getTable(writer, inet, 'tsbridge')].map(
      ({ type, get, body }) => [type, get, hex(body)],
    ),
    [
      [0xa10, true, '00000000'],
      [0xa0a, true, hex(bytes(`01000000 ${table} ${name}`))],
      [0xa01, true, hex(bytes(`01000000 ${table}`))],
    ],
    'questions with one answer',
  );
  t.strictSame(
    [
      getTables(writer),
      getSets(writer, inet, 'tsbridge'),
      getElements(writer, inet, 'tsbridge', 'pods4.podnet'),
      getRules(writer, inet, 'tsbridge', 'postrouting'),
    ].map(({ type, get, body }) => [type, get, hex(body)]),
    [
      [0xa01, undefined, '00000000'],
      [0xa0a, undefined, hex(bytes(`01000000 ${table}`))],
      [0xa0d, undefined, hex(bytes(`01000000 ${table} ${name}`))],
      [0xa07, undefined, hex(bytes(`01000000 ${table} 10000200 706f7374726f7574696e6700`))],
    ],
    'dumps',
  );
  t.equal(
    hex(getChain(writer, NFPROTO.IPV4, 'nat', 'CNI-1').body),
    hex(bytes('02000000 08000100 6e617400 0a000300 434e492d3100 0000')),
  );
});

const replies = (...texts: string[]) => texts.map((text) => ({ type: 0xa0c, flags: 2, seq: 1, body: bytes(text) }));

// `strace -e trace=recvmsg -e read=3 nft list ruleset`, nftables 1.0.6, Linux 6.18; without struct nlmsghdr.
t.test('replies', async (t) => {
  const set = `0d000100 747362726964676500 000000`;
  t.strictSame(
    elementsIn(
      replies(
        `01000007 ${set} 11000200 706f6473342e706f646e657400 000000
         74000300 70000100 0c000100 08000100 0a010005
           2c000700 0c000100 636f756e74657200 1c000200 0c000100 0000000000000000 0c000200 0000000000000000
           32000600 002c6e6574776f726b3d706f646e657420636f6e7461696e65723d61626320696e746572666163653d6574683000 0000`,
        `01000007 ${set} 11000200 706f6473342e706f646e657400 000000 04000300`,
      ),
    ),
    [{ key: bytes('0a010005'), comment: 'network=podnet container=abc interface=eth0' }],
    'an element that counts; the kernel may end with an empty list',
  );
  const local = `01000007 ${set} 12000200 6c6f63616c342e706f646e657400 0000
    60000300 1c000100 0c000100 08000100 ff000000 0a000600 010401000000 0000
    18000100 0c000100 08000100 0a020000 08000300 00000001
    10000100 0c000100 08000100 0a010000
    18000100 0c000100 08000100 00000000 08000300 00000001`;
  t.strictSame(
    elementsIn(replies(local)),
    [
      { key: bytes('ff000000'), comment: '' },
      { key: bytes('0a020000'), end: true },
      { key: bytes('0a010000') },
      { key: bytes('00000000'), end: true },
    ],
    'ends of intervals',
  );
  t.equal(elementsIn(replies(local, local), 5).length, 5, 'no more than are asked for');
  t.strictSame(
    tableOf(bytes('02000007 08000100 6e617400 08000300 00000002 0c000400 0000000000000003 08000200 00000000')),
    { family: NFPROTO.IPV4, name: 'nat', flags: 0, use: 2, comment: '' },
  );
  // strace -xx nft list sets inet (nftables 1.0.6), on: nft add table inet tsbridge; nft add set inet tsbridge s '{ type ipv4_addr; }'
  t.equal(
    setNameOf(bytes('01000002 0d000100 7473627269646765 00000000 06000200 73000000 0c001000 0000000000000001')),
    's',
  );
  t.equal(
    generationOf(bytes('00000007 08000100 00000007 08000200 000002af 08000300 6e667400')),
    7,
    'GETGEN: generation, then the process that made it',
  );
  t.strictSame(
    ruleOf(
      bytes(`01000007 ${set} 10000200 706f7374726f7574696e6700 0c000300 0000000000000007 0c000600 0000000000000006
        70000400
        38000100 0b000100 6c6f6f6b757000 00 28000200 11000100 706f6473362e706f646e657400 000000 08000200 00000001 08000500 00000000
        34000100 0c000100 7061796c6f616400 24000200 08000100 00000001 08000200 00000001 08000300 00000018 08000400 00000010
        15000700 000f6e6574776f726b20706f646e657400 000000`),
    ),
    { handle: bytes('0000000000000007'), comment: 'network podnet', sets: ['pods6.podnet'], jumps: [] },
    'a rule of our own, shortened',
  );
  t.strictSame(
    ruleOf(
      bytes(`02000007 08000100 6e617400 10000200 504f5354524f5554494e4700 0c000300 0000000000000003
        88000400
        34000100 0c000100 7061796c6f616400 24000200 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
        54000100 0e000100 696d6d65646961746500 0000 40000200 08000100 00000000
          34000200 30000200 08000100 fffffffd 21000200 434e492d32373363626130303132656439396432323266623138306100 000000`),
    ),
    { handle: bytes('0000000000000003'), comment: '', sets: [], jumps: ['CNI-273cba0012ed99d222fb180a'] },
    'a jump that iptables-nft 1.8.9 made, without its comment and counter',
  );
  t.equal(attribute(bytes('08000100 0a010005'), 2), undefined, 'an attribute that is not there');
  t.strictSame(
    attributes(bytes('ff000100 0a010005')),
    [{ type: 1, value: bytes('0a010005') }],
    'a length beyond the end',
  );
  t.strictSame(attributes(bytes('00000100 0a010005')).length, 2, 'a length of nothing does not stop the reader');
});

t.test('comments', async (t) => {
  const rows = [
    { comment: 'network=podnet', stored: 'network=podnet', name: 'as they are' },
    { comment: 'interface=e"0', stored: 'interface=e%220', name: 'nft knows no escape for a quote between quotes' },
    { comment: '100%\n', stored: '100%25%0a', name: 'nor should a line end' },
    { comment: 'größe', stored: 'größe', name: 'UTF-8' },
  ];
  for (const { comment, stored, name } of rows) {
    const data = commentData(comment);
    t.equal(text(data, 2), `${stored}\0`, name);
    t.equal(commentOf(data), comment, `${name}, and back`);
  }
  t.equal(commentData('x'.repeat(300)).length, 253, 'fits in NFT_USERDATA_MAXLEN');
  t.equal(commentOf(bytes('010401000000 0003 6300 ff')), 'c', 'behind other userdata');
  t.equal(commentOf(bytes('0104010000')), '', 'none in truncated userdata');
  t.equal(commentOf(undefined), '');
});

t.test('a writer that outgrows its buffer keeps what it has given out', async (t) => {
  const one = new NftWriter();
  const first = newTable(one, inet, 'tsbridge', 'c');
  const before = hex(first.body);
  const many = Array.from({ length: 500 }, (_, i) => ({ key: v4(10, 1, i >> 8, i & 255), comment: 'c'.repeat(40) }));
  const { body } = newElements(one, inet, 'tsbridge', 'pods4.podnet', many);
  t.equal(hex(first.body), before);
  t.strictSame(
    elementsIn([{ type: 0xa0c, flags: 0, seq: 1, body: body as Buffer }]).map(({ key }) => hex(key)),
    many.map(({ key }) => hex(key)),
  );
});
