import t from 'tap';
import { type Legacy, removeGoLeftovers } from '../../../../src/kernel/leftovers/leftovers.ts';
import { errno } from '../../../../src/linux/errno.ts';
import { NoSocket } from '../../../../src/netlink/error.ts';
import { NetlinkSocket, protocol } from '../../../../src/netlink/socket.ts';
import { FakeNft } from '../firewall/fake-nft.ts';

const attachment = { network: 'gonet', containerID: 'abc123', ifname: 'eth0' };
const noLegacy: Legacy = { exists: () => false, remove: async () => [] };

function make() {
  const kernel = new FakeNft();
  const socket = NetlinkSocket.open(kernel.sys, protocol.NETFILTER);
  t.teardown(() => socket[Symbol.dispose]());
  return { kernel, remove: (legacy = noLegacy) => removeGoLeftovers(() => socket, attachment, ['10.77.0.2'], legacy) };
}

// `iptables -t nat -A POSTROUTING -s 10.77.0.2 -m comment --comment 'name: "gonet" id: "abc123"' -j CNI-273cba0012ed99d222fb180a` by
// iptables-nft 1.8.9, read with `strace -e trace=recvmsg -e read=3 nft list ruleset`. The comment's 256 bytes are shortened.
const jump = Buffer.from(
  `02000007 08000100 6e617400 10000200 504f5354524f5554494e4700 0c000300 0000000000000003
   2c010400
   34000100 0c000100 7061796c6f616400 24000200 08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004
   2c000100 08000100 636d7000 20000200 08000100 00000001 08000200 00000000 0c000300 08000100 0a4d0002
   48000100 0a000100 6d6174636800 0000 38000200 0c000100 636f6d6d656e7400 08000200 00000000
     1f000300 6e616d653a2022676f6e6574222069643a202261626331323322 00 00
   2c000100 0c000100 636f756e74657200 1c000200 0c000100 0000000000000000 0c000200 0000000000000000
   54000100 0e000100 696d6d65646961746500 0000 40000200 08000100 00000000
     34000200 30000200 08000100 fffffffd 21000200 434e492d32373363626130303132656439396432323266623138306100 000000`.replace(
    /\s/g,
    '',
  ),
  'hex',
);
const chain = 'CNI-273cba0012ed99d222fb180a'; // sha512 of "gonetabc123"

t.test('a node where the reference has never been costs one dump', async (t) => {
  const { kernel, remove } = make();
  kernel.state.tables = ['1 tsbridge', '7 tsbridge', '1 nat', '2 filter'];
  t.strictSame(await remove(), { removed: [], errors: [] });
  t.strictSame(kernel.log, ['dump GETTABLE']);
});

t.test('on one that has an iptables of its own, POSTROUTING and the chain of portmap are read as well', async (t) => {
  const { kernel, remove } = make();
  kernel.state.tables = ['2 nat'];
  kernel.state.rules = [{ chain: '2 POSTROUTING', handle: 4, sets: [] }];
  t.strictSame(await remove(), { removed: [], errors: [] });
  t.strictSame(kernel.log, ['dump GETTABLE', 'dump GETRULE', 'dump GETRULE']);
});

t.test('chain and jump go in one transaction, whatever else happens to the rule set', async (t) => {
  const { kernel, remove } = make();
  kernel.state = {
    tables: ['2 nat', '7 nat'],
    chains: ['2 POSTROUTING', `2 ${chain}`, '7 PREROUTING'],
    sets: new Map(),
    rules: [
      { chain: '2 POSTROUTING', handle: 2, sets: [] },
      { chain: '2 POSTROUTING', handle: 3, sets: [], raw: jump },
    ],
  };
  kernel.before = (attempt) => {
    if (attempt === 1) kernel.meanwhile(() => {});
  };
  t.strictSame(await remove(), { removed: [`iptables chain ${chain}`], errors: [] });
  t.strictSame(kernel.state.chains, ['2 POSTROUTING', '7 PREROUTING']);
  t.strictSame(kernel.state.rules, [{ chain: '2 POSTROUTING', handle: 2, sets: [] }]);
  const look = ['GETGEN GETCHAIN GETCHAIN GETCHAIN GETCHAIN GETCHAIN GETCHAIN', 'dump GETRULE'];
  t.strictSame(kernel.log, [
    'dump GETTABLE',
    'dump GETRULE',
    ...look,
    'batch@1 DELRULE DELCHAIN',
    ...look,
    'batch@2 DELRULE DELCHAIN',
  ]);
});

t.test('the chains of the spoof check go by their names', async (t) => {
  const { kernel, remove } = make();
  const own = ['7 cni-br-iface-abc123-eth0', '7 cni-br-iface-abc123-eth0-mac'];
  const others = ['7 PREROUTING', '7 cni-br-iface-abc123-eth1', '7 cni-br-iface-abc123-eth1-mac'];
  kernel.state = { ...kernel.state, tables: ['7 nat'], chains: [...others, ...own] };
  t.strictSame(
    (await remove()).removed,
    own.map((name) => `nft chain bridge nat ${name.slice(2)}`),
  );
  t.strictSame(kernel.state.chains, others);
});

t.test('errors are collected, and what else there is goes', async (t) => {
  const { kernel, remove } = make();
  kernel.state = { ...kernel.state, tables: ['7 nat'], chains: ['7 cni-br-iface-abc123-eth0'] };
  kernel.refuse = (name) => (name === 'DELCHAIN' ? errno.EBUSY : 0);
  const { removed, errors } = await remove({
    exists: () => true,
    remove: async (family) => {
      if (family === 6) throw new Error('ip6tables-legacy is locked');
      return ['iptables-legacy chain'];
    },
  });
  t.strictSame(removed, ['iptables-legacy chain']);
  t.strictSame(
    errors.map(({ message }) => message),
    ['cannot remove what the reference plugin made: EBUSY', 'ip6tables-legacy is locked'],
  );
});

t.test('a kernel without nf_tables has nothing in it', async (t) => {
  const none = () => {
    throw new NoSocket('cannot open', errno.EPROTONOSUPPORT, '');
  };
  t.strictSame(await removeGoLeftovers(none, attachment, [], noLegacy), { removed: [], errors: [] });
  const full = () => {
    throw new NoSocket('cannot open', errno.EMFILE, '');
  };
  t.match((await removeGoLeftovers(full, attachment, [], noLegacy)).errors, [{ message: 'cannot open: EMFILE' }]);
});
