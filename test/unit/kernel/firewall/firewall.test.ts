import fc from 'fast-check';
import t from 'tap';
import type { CniError } from '../../../../src/cni/error.ts';
import { makeFirewall } from '../../../../src/kernel/firewall/firewall.ts';
import {
  intervalElements,
  intervalsOf,
  joinOverlapping,
  prefixIntervals,
} from '../../../../src/kernel/firewall/masquerade.ts';
import { setName } from '../../../../src/kernel/firewall/names.ts';
import type { FirewallOp } from '../../../../src/kernel/firewall/port.ts';
import { errno } from '../../../../src/linux/errno.ts';
import { NoSocket } from '../../../../src/netlink/error.ts';
import { NetlinkSocket, protocol } from '../../../../src/netlink/socket.ts';
import type { LocalPrefixes } from '../../../../src/plan/state.ts';
import { fakeNetlink } from '../../../support/fake-netlink.ts';
import { FakeNft } from './fake-nft.ts';

/** A firewall on a kernel that is a model. */
function make() {
  const kernel = new FakeNft();
  const socket = NetlinkSocket.open(kernel.sys, protocol.NETFILTER);
  t.teardown(() => socket[Symbol.dispose]());
  return { kernel, firewall: makeFirewall(() => socket) };
}

const add = (address: string, comment: string, over: { network?: string; local?: string[] } = {}): FirewallOp => ({
  op: 'masq.add',
  network: over.network ?? 'podnet',
  address,
  local: over.local ?? [address.includes(':') ? 'fd00::/64' : '10.1.0.0/16'],
  comment,
});
const del = (address: string, comment: string, network = 'podnet'): FirewallOp => ({
  op: 'masq.del',
  network,
  address,
  comment,
});
const check = (dev: string, mac: string, comment = 'c'): FirewallOp => ({ op: 'spoofcheck.add', dev, mac, comment });
const uncheck = (dev: string): FirewallOp => ({ op: 'spoofcheck.del', dev });

const masqueraded = (kernel: FakeNft) => kernel.elements('1 pods4.podnet');
const look = 'GETGEN GETSET GETSETELEM';
/** What else is looked at when the network exists: its rule, and its local prefixes. */
const lookMore = ['dump GETRULE', 'dump GETSETELEM'];

t.test('masq.add', async (t) => {
  t.test('the first pod makes table, chain, sets and rule, in one guarded transaction after one look', async (t) => {
    const { kernel, firewall } = make();
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [true]);
    t.strictSame(kernel.log, [look, 'batch@1 NEWTABLE NEWCHAIN NEWSET NEWSET NEWRULE NEWSETELEM NEWSETELEM']);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a']);
    t.strictSame(kernel.elements('1 local4.podnet'), ['10.1.0.0', '10.2.0.0 end']);
  });

  t.test('the second adds an element, whatever others do to the rule set meanwhile', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    kernel.log.length = 0;
    kernel.before = () => kernel.meanwhile(() => {});
    t.strictSame(firewall.apply([add('10.1.0.6', 'b')]), [true]);
    t.strictSame(kernel.log, [look, ...lookMore, 'batch NEWSETELEM']);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a', '10.1.0.6 b']);
    t.equal(kernel.state.rules.length, 1);
  });

  t.test('both families and the spoof check are one transaction', async (t) => {
    const { kernel, firewall } = make();
    const ops = [add('10.1.0.5', 'a'), add('fd00::5', 'a'), check('veth1', '02:00:00:00:00:01', 'a')];
    t.strictSame(firewall.apply(ops), [true, true, true]);
    t.strictSame(kernel.log, [
      'GETGEN GETSET GETSETELEM GETSET GETSETELEM GETTABLE GETSET GETSETELEM',
      'batch@1 NEWTABLE NEWCHAIN NEWSET NEWSET NEWRULE NEWSETELEM NEWSETELEM ' +
        'NEWSET NEWSET NEWRULE NEWSETELEM NEWSETELEM ' +
        'NEWTABLE NEWCHAIN NEWSET NEWSET NEWRULE NEWSETELEM NEWSETELEM',
    ]);
  });

  t.test('two addresses of one family share their network', async (t) => {
    const { kernel, firewall } = make();
    t.strictSame(firewall.apply([add('10.1.0.5', 'a'), add('10.2.0.5', 'a', { local: ['10.2.0.0/16'] })]), [
      true,
      true,
    ]);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a', '10.2.0.5 a']);
    t.strictSame(kernel.elements('1 local4.podnet'), ['10.1.0.0', '10.2.0.0', '10.2.0.0 end', '10.3.0.0 end']);
    t.equal(kernel.state.rules.length, 1);
  });

  t.test('a second time changes nothing, and sends nothing', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    kernel.log.length = 0;
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [false]);
    t.strictSame(kernel.log, [look, ...lookMore]);
  });

  t.test('an address that a pod left behind gets the comment of the new one', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'old')]);
    kernel.log.length = 0;
    t.strictSame(firewall.apply([add('10.1.0.5', 'new')]), [true]);
    t.strictSame(kernel.log, [look, ...lookMore, 'batch@2 DELSETELEM NEWSETELEM']);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 new']);
  });

  t.test('two processes that both see no network make one', async (t) => {
    const { kernel, firewall } = make();
    kernel.before = (attempt) => {
      if (attempt === 1) firewall.apply([add('10.1.0.6', 'b')]);
    };
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [true]);
    t.equal(kernel.state.rules.length, 1);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a', '10.1.0.6 b']);
    t.match(kernel.log.at(-4), look, 'refused by the generation, it looked again');
    t.equal(kernel.log.at(-1), 'batch NEWSETELEM');
  });

  t.test('nor do they make two where the kernel knows no generations', async (t) => {
    const { kernel, firewall } = make();
    kernel.knowsGenerations = false;
    kernel.before = (attempt) => {
      if (attempt === 1) firewall.apply([add('10.1.0.6', 'b')]);
    };
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [true]);
    t.equal(kernel.state.rules.length, 1);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a', '10.1.0.6 b']);
  });

  t.test('a network that goes with its last pod at the same moment is made anew', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.6', 'b')]);
    kernel.before = (attempt) => {
      if (attempt === 2) firewall.apply([del('10.1.0.6', 'b')]);
    };
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [true]);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a']);
    t.equal(kernel.state.rules.length, 1);
  });

  t.test('an address that comes between look and transaction is looked at', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.6', 'b')]);
    kernel.before = (attempt) => {
      if (attempt === 2) firewall.apply([add('10.1.0.5', 'other')]);
    };
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [true]);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 a', '10.1.0.6 b']);
  });

  t.test('prefixes that the network has no more go, and others come, in one guarded transaction', async (t) => {
    for (const [title, before, after, expected] of [
      [
        'a wider one',
        ['10.1.0.0/24', '192.168.0.0/24'],
        ['10.1.0.0/16', '192.168.0.0/24'],
        ['10.1.0.0', '10.2.0.0 end', '192.168.0.0', '192.168.1.0 end'],
      ],
      ['a narrower one', ['10.0.0.0/8'], ['10.1.0.0/16'], ['10.1.0.0', '10.2.0.0 end']],
      ['one less', ['10.1.0.0/16', '192.168.0.0/24'], ['10.1.0.0/16'], ['10.1.0.0', '10.2.0.0 end']],
      [
        'one for another',
        ['10.1.0.0/16', '192.168.0.0/24'],
        ['10.1.0.0/16', '172.16.0.0/16'],
        ['10.1.0.0', '10.2.0.0 end', '172.16.0.0', '172.17.0.0 end'],
      ],
    ] as const) {
      const { kernel, firewall } = make();
      firewall.apply([add('10.1.0.5', 'a', { local: [...before] })]);
      kernel.log.length = 0;
      firewall.apply([add('10.1.0.6', 'b', { local: [...after] })]);
      const pods = 'dump GETSETELEM';
      t.strictSame(kernel.log, [look, ...lookMore, pods, 'batch@2 NEWSETELEM DELSETELEM NEWSETELEM'], title);
      t.strictSame(kernel.elements('1 local4.podnet'), expected, title);
    }
  });

  t.test('a prefix that holds a pod which is in no other stays until it is gone', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.9.0.5', 'old', { local: ['10.9.0.0/16'] })]);
    kernel.log.length = 0;
    firewall.apply([add('10.1.0.6', 'b')]);
    firewall.apply([add('10.1.0.7', 'c')]);
    const pods = 'dump GETSETELEM';
    t.strictSame(kernel.log, [
      ...[look, ...lookMore, pods, 'batch NEWSETELEM NEWSETELEM'],
      ...[look, ...lookMore, pods, 'batch NEWSETELEM'],
    ]);
    t.strictSame(kernel.elements('1 local4.podnet'), ['10.1.0.0', '10.2.0.0 end', '10.9.0.0', '10.10.0.0 end'].sort());
    firewall.apply([del('10.9.0.5', 'old')]);
    firewall.apply([add('10.1.0.8', 'd')]);
    t.strictSame(kernel.elements('1 local4.podnet'), ['10.1.0.0', '10.2.0.0 end']);
  });

  t.test('the rules of both families are asked for once', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a')]);
    kernel.log.length = 0;
    firewall.apply([add('10.1.0.6', 'b'), add('fd00::6', 'b')]);
    t.strictSame(kernel.log.slice(1, -1), ['dump GETRULE', 'dump GETSETELEM', 'dump GETSETELEM']);
  });

  t.test('a rule that somebody has removed is made anew, once, and the chain with it', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a')]);
    kernel.state.rules.pop();
    kernel.log.length = 0;
    kernel.before = (attempt) => {
      if (attempt === 2) firewall.apply([add('fd00::7', 'c')]);
    };
    t.strictSame(firewall.apply([add('fd00::6', 'b')]), [true]);
    t.equal(kernel.state.rules.length, 2, 'whoever else makes it at the same moment');
    const mended = 'batch@2 NEWTABLE NEWCHAIN NEWSET NEWRULE NEWSETELEM';
    t.strictSame(
      kernel.log.filter((line) => line.includes('NEWRULE')),
      [mended, mended],
      'both tried, and one was refused',
    );
    t.equal(kernel.elements('1 pods6.podnet')?.length, 3);
    t.strictSame(
      firewall.masqueradeGaps(
        'podnet',
        new Map([
          [4, []],
          [6, []],
        ]),
      ),
      [],
    );
    kernel.state.rules = [];
    kernel.state.chains = [];
    t.strictSame(firewall.apply([add('10.1.0.5', 'a')]), [false], 'even when nothing else is to be done');
    t.strictSame(kernel.state.chains, ['1 postrouting']);
    t.equal(kernel.state.rules.length, 1);
  });

  t.test('a prefix that comes between look and transaction is looked at', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    let refused = false;
    kernel.refuse = (name, _, set) => {
      if (refused || name !== 'NEWSETELEM' || set !== 'local4.podnet') return 0;
      refused = true;
      return errno.EEXIST;
    };
    t.strictSame(firewall.apply([add('10.1.0.6', 'b', { local: ['10.7.0.0/16'] })]), [true]);
    t.strictSame(kernel.elements('1 local4.podnet'), ['10.1.0.0', '10.2.0.0 end', '10.7.0.0', '10.8.0.0 end']);
  });
});

t.test('masq.del', async (t) => {
  t.test('removes one pod and leaves the others', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    firewall.apply([add('10.1.0.6', 'b')]);
    kernel.log.length = 0;
    t.strictSame(firewall.apply([del('10.1.0.5', 'a')]), [true]);
    t.strictSame(kernel.log, ['GETGEN GETSETELEM', 'dump GETSETELEM', 'batch@3 DELSETELEM']);
    t.strictSame(masqueraded(kernel), ['10.1.0.6 b']);
  });

  t.test('an address that belongs to another pod by now stays', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'new')]);
    t.strictSame(firewall.apply([del('10.1.0.5', 'old')]), [false]);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 new']);
  });

  t.test('nor is it removed when it changes hands at that very moment', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'old'), add('10.1.0.6', 'b')]);
    kernel.before = (attempt) => {
      if (attempt === 2) firewall.apply([del('10.1.0.5', 'old')]);
      if (attempt === 3) firewall.apply([add('10.1.0.5', 'new')]);
    };
    t.strictSame(firewall.apply([del('10.1.0.5', 'old')]), [false]);
    t.strictSame(masqueraded(kernel), ['10.1.0.5 new', '10.1.0.6 b']);
  });

  t.test('with the last pod of a network goes the network, with the last network the table', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a')]);
    firewall.apply([add('10.9.0.5', 'b', { network: 'other' })]);
    t.strictSame(firewall.apply([del('10.1.0.5', 'a'), del('fd00::5', 'a')]), [true, true]);
    t.strictSame([...kernel.state.sets.keys()], ['1 pods4.other', '1 local4.other']);
    t.equal(kernel.state.rules.length, 1);
    t.strictSame(firewall.apply([del('10.9.0.5', 'b', 'other')]), [true]);
    t.strictSame(kernel.state, { tables: [], chains: [], sets: new Map(), rules: [] });
  });

  t.test('a rule of somebody else in our chain keeps the table', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    kernel.state.rules.push({ chain: '1 postrouting', handle: 99, sets: [] });
    firewall.apply([del('10.1.0.5', 'a')]);
    t.strictSame(kernel.state.tables, ['1 tsbridge']);
    t.strictSame([...kernel.state.sets.keys()], []);
  });

  t.test('a network whose rule somebody has removed goes all the same', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    kernel.state.rules = [];
    t.strictSame(firewall.apply([del('10.1.0.5', 'a')]), [true]);
    t.strictSame(kernel.state, { tables: [], chains: [], sets: new Map(), rules: [] });
  });

  t.test('and one whose chain and set of local prefixes somebody has removed; another network stays', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a'), add('10.9.0.5', 'b', { network: 'other' })]);
    kernel.state.rules = [];
    kernel.state.chains = [];
    for (const name of ['1 local4.podnet', '1 local6.podnet']) kernel.state.sets.delete(name);
    t.strictSame(firewall.apply([del('10.1.0.5', 'a'), del('fd00::5', 'a')]), [true, true]);
    t.strictSame([...kernel.state.sets.keys()], ['1 pods4.other', '1 local4.other']);
    kernel.state.sets.delete('1 local4.other');
    t.strictSame(firewall.apply([del('10.9.0.5', 'b', 'other')]), [true]);
    t.strictSame(kernel.state.tables, []);
  });

  t.test('a chain of somebody else in our table keeps it', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a')]);
    kernel.state.chains.push('1 of-somebody-else');
    firewall.apply([del('10.1.0.5', 'a')]);
    t.strictSame(kernel.state.tables, ['1 tsbridge']);
    t.strictSame([...kernel.state.sets.keys()], []);
  });

  t.test('one with two families, of which one has no rule left, too, at the first attempt', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a')]);
    kernel.state.rules.pop();
    let attempts = 0;
    kernel.before = () => {
      attempts++;
    };
    t.strictSame(firewall.apply([del('10.1.0.5', 'a'), del('fd00::5', 'a')]), [true, true]);
    t.strictSame(kernel.state, { tables: [], chains: [], sets: new Map(), rules: [] });
    t.equal(attempts, 1);
  });

  t.test('and leaves the sets of another network, whose rule alone is gone', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('10.9.0.5', 'b', { network: 'other' })]);
    kernel.state.rules.pop();
    t.strictSame(firewall.apply([del('10.1.0.5', 'a')]), [true]);
    t.strictSame([...kernel.state.sets.keys()], ['1 pods4.other', '1 local4.other']);
  });

  t.test('and leaves the sets of other networks, whose rules are gone as well', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a'), add('10.9.0.5', 'b', { network: 'other' })]);
    kernel.state.rules = [];
    t.strictSame(firewall.apply([del('10.1.0.5', 'a'), del('fd00::5', 'a')]), [true, true]);
    t.strictSame([...kernel.state.sets.keys()], ['1 pods4.other', '1 local4.other']);
  });

  t.test('what is missing counts as done', async (t) => {
    const { kernel, firewall } = make();
    t.strictSame(firewall.apply([del('10.1.0.5', 'a'), del('fd00::5', 'a'), uncheck('veth1')]), [false, false, false]);
    firewall.apply([add('10.1.0.6', 'b')]);
    t.strictSame(firewall.apply([del('10.1.0.5', 'a')]), [false]);
    t.strictSame(masqueraded(kernel), ['10.1.0.6 b']);
  });
});

t.test('spoof checks', async (t) => {
  const mac = '02:00:00:00:00:01';
  t.test('come and go; the last takes the table with it', async (t) => {
    const { kernel, firewall } = make();
    t.strictSame(firewall.apply([check('veth1', mac, 'a'), check('veth2', '02:00:00:00:00:02', 'b')]), [true, true]);
    t.equal(kernel.state.rules.length, 1);
    t.strictSame(firewall.spoofChecked('veth2'), { mac: '02:00:00:00:00:02', comment: 'b' });
    t.strictSame(firewall.spoofCheckedAll(), [
      { dev: 'veth1', mac, comment: 'a' },
      { dev: 'veth2', mac: '02:00:00:00:00:02', comment: 'b' },
    ]);
    t.strictSame(firewall.apply([uncheck('veth1')]), [true]);
    t.equal(firewall.spoofChecked('veth1'), undefined);
    t.strictSame(firewall.apply([uncheck('veth1'), uncheck('veth2')]), [false, true]);
    t.strictSame(kernel.state.tables, []);
  });

  t.test('an interface lets one address through: the newest', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([check('veth1', mac, 'old')]);
    t.strictSame(firewall.apply([check('veth1', mac, 'old')]), [false], 'the same again');
    t.strictSame(firewall.apply([check('veth1', '02:00:00:00:00:09', 'new')]), [true]);
    t.strictSame(firewall.spoofCheckedAll(), [{ dev: 'veth1', mac: '02:00:00:00:00:09', comment: 'new' }]);
    t.equal(kernel.elements('7 checked')?.length, 1);
  });

  t.test('a rule that somebody has removed is made anew', async (t) => {
    const { kernel, firewall } = make();
    firewall.apply([check('veth1', mac)]);
    t.strictSame(firewall.spoofCheckGaps(), []);
    kernel.state.rules = [];
    t.equal(firewall.spoofCheckGaps().length, 1);
    t.strictSame(firewall.apply([check('veth2', mac)]), [true]);
    t.strictSame(firewall.spoofCheckGaps(), []);
    t.equal(kernel.state.rules.length, 1);
    t.equal(firewall.spoofCheckedAll().length, 2);
  });

  t.test('the last leaves the table when somebody else has put something there', async (t) => {
    for (const [title, put] of [
      ['a chain', (kernel: FakeNft) => kernel.state.chains.push('7 foreign')],
      [
        'a rule in our chain',
        (kernel: FakeNft) => kernel.state.rules.push({ chain: '7 prerouting', handle: 99, sets: [] }),
      ],
    ] as const) {
      const { kernel, firewall } = make();
      firewall.apply([check('veth1', mac, 'a')]);
      put(kernel);
      const before = [kernel.state.chains, kernel.state.rules];
      t.strictSame(firewall.apply([uncheck('veth1')]), [true]);
      t.strictSame(firewall.spoofCheckedAll(), []);
      t.strictSame([kernel.state.chains, kernel.state.rules], before, title);
    }
  });

  t.test('two processes that both see no table make one', async (t) => {
    const { kernel, firewall } = make();
    kernel.before = (attempt) => {
      if (attempt === 1) firewall.apply([check('veth2', mac)]);
    };
    firewall.apply([check('veth1', mac)]);
    t.equal(kernel.state.rules.length, 1);
    t.strictSame(
      firewall.spoofCheckedAll().map(({ dev }) => dev),
      ['veth2', 'veth1'],
    );
  });
});

t.test('reads', async (t) => {
  const { firewall } = make();
  t.strictSame(firewall.masqueraded('podnet'), []);
  t.strictSame(firewall.masqueraded('podnet', '10.1.0.5'), []);
  t.strictSame(firewall.spoofCheckedAll(), []);
  firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a'), add('10.9.0.5', 'b', { network: 'other' })]);
  const four = { network: 'podnet', address: '10.1.0.5', comment: 'a' };
  const six = { network: 'podnet', address: 'fd00::5', comment: 'a' };
  t.strictSame(firewall.masqueraded('podnet'), [four, six]);
  t.strictSame(firewall.masqueraded('podnet', 'fd00::5'), [six]);
  t.strictSame(firewall.masqueraded('podnet', '10.9.0.5'), [], 'of another network');
});

t.test('rules that somebody has removed, in the words of nft', async (t) => {
  const { kernel, firewall } = make();
  firewall.apply([add('10.1.0.5', 'a'), add('fd00::5', 'a'), add('10.9.0.5', 'b', { network: 'other' })]);
  kernel.log.length = 0;
  const both: LocalPrefixes = new Map([
    [4, ['10.1.0.0/16', '10.1.7.0/24']],
    [6, ['fd00::/64']],
  ]);
  t.strictSame(firewall.masqueradeGaps('podnet', both), []);
  t.strictSame(
    kernel.log,
    ['GETTABLE', 'dump GETRULE', 'dump GETSETELEM', 'dump GETSETELEM'],
    'nothing else when all is well',
  );
  kernel.state.rules = kernel.state.rules.slice(1);
  const four = {
    problem: 'the rule that masquerades IPv4 is missing',
    byAdd: 'makes it',
    byDelToo: true,
    nft: 'add rule inet tsbridge postrouting ip saddr @pods4.podnet ip daddr != @local4.podnet ip daddr != 224.0.0.0/4 counter masquerade',
  };
  t.strictSame(firewall.masqueradeGaps('podnet', both), [four]);
  t.strictSame(firewall.masqueradeGaps('podnet', new Map([[6, []]])), []);
  kernel.state.rules = [];
  kernel.state.chains = [];
  const chain = 'add chain inet tsbridge postrouting { type nat hook postrouting priority 100; policy accept; }; ';
  t.strictSame(firewall.masqueradeGaps('podnet', new Map([[4, []]])), [{ ...four, nft: chain + four.nft }]);
});

t.test('prefixes that are missing or too much, in the words of nft', async (t) => {
  const what = 'in the set of what pods reach with their own address';
  const set = 'inet tsbridge local4.podnet';
  const missing = (prefixes: string) => ({
    problem: `${prefixes} ${what} is missing`,
    nft: `add element ${set} { ${prefixes} }`,
    byAdd: 'makes it',
    of: 'elements',
  });
  const tooMuch = (prefixes: string) => ({
    problem: `${prefixes} ${what} is too much`,
    nft: `delete element ${set} { ${prefixes} }`,
    byAdd: 'takes it out',
    of: 'elements',
  });
  for (const [title, pods, present, wanted, expected] of [
    ['as it should be', ['10.1.0.5'], ['10.1.0.0/16'], ['10.1.0.0/16', '10.1.0.0/17'], []],
    [
      'missing, at all ends of what there is',
      ['10.1.0.5'],
      ['10.1.0.0/16'],
      ['10.1.0.0/16', '192.168.0.0/16', '0.0.0.0/8', '255.0.0.0/8'],
      [missing('192.168.0.0/16, 0.0.0.0/8, 255.0.0.0/8')],
    ],
    [
      'too much',
      ['10.1.0.5'],
      ['10.1.0.0/16', '10.0.0.0/32', '192.0.0.0/2', '11.0.0.0/8'],
      ['10.1.0.0/16'],
      [tooMuch('10.0.0.0/32, 11.0.0.0/8, 192.0.0.0/2')],
    ],
    ['too wide', ['10.1.0.5'], ['10.0.0.0/8'], ['10.1.0.0/16'], [tooMuch('10.0.0.0/8'), missing('10.1.0.0/16')]],
    ['everything', ['10.1.0.5'], ['0.0.0.0/0'], ['10.1.0.0/16'], [tooMuch('0.0.0.0/0'), missing('10.1.0.0/16')]],
    ['of a pod that is nowhere else', ['10.1.0.5', '10.9.0.5'], ['10.1.0.0/16', '10.9.0.0/24'], ['10.1.0.0/16'], []],
  ] as const) {
    const { firewall } = make();
    firewall.apply(pods.map((address, i) => add(address, `${i}`, { local: [...present] })));
    t.strictSame(firewall.masqueradeGaps('podnet', new Map([[4, [...wanted]]])), expected, title);
  }
});

t.test('an interval that is no prefix, in the words of nft', async (t) => {
  const { kernel, firewall } = make();
  firewall.apply([add('10.1.0.5', 'a')]);
  const set = kernel.state.sets.get('1 local4.podnet')?.elements;
  set?.set('10.7.0.1', { key: Uint8Array.of(10, 7, 0, 1) });
  set?.set('10.7.0.9 end', { key: Uint8Array.of(10, 7, 0, 9), end: true });
  t.match(firewall.masqueradeGaps('podnet', new Map([[4, ['10.1.0.0/16']]])), [
    { nft: 'delete element inet tsbridge local4.podnet { 10.7.0.1-10.7.0.8 }' },
  ]);
});

t.test('refusals', async (t) => {
  const tried = 'nft masquerade 10.1.0.5 except to 10.1.0.0/16 # a';
  const rows: { name: string; refuse: FakeNft['refuse']; code: number; msg: string; details: RegExp }[] = [
    {
      name: 'a kernel without nf_tables',
      refuse: (name) => (name === 'BATCH_BEGIN' ? errno.EOPNOTSUPP : 0),
      code: 104,
      msg: `cannot ${tried}: EOPNOTSUPP`,
      details: /CONFIG_NF_TABLES.*"ipMasqBackend": "iptables"/,
    },
    {
      name: 'a kernel without masquerade',
      refuse: (name) => (name === 'NEWRULE' ? errno.ENOENT : 0),
      code: 104,
      msg: `cannot ${tried}: ENOENT`,
      details: /CONFIG_NFT_MASQ, module nft_masq/,
    },
    {
      name: 'a kernel without NAT chains',
      refuse: (name) => (name === 'NEWCHAIN' ? errno.ENOENT : 0),
      code: 104,
      msg: `cannot ${tried}: ENOENT`,
      details: /nft_chain_nat/,
    },
    {
      name: 'no right to change anything',
      refuse: (name) => (name === 'BATCH_BEGIN' ? errno.EPERM : 0),
      code: 100,
      msg: `cannot ${tried}: EPERM`,
      details: /CAP_NET_ADMIN/,
    },
    {
      name: 'no memory',
      refuse: (name) => (name === 'NEWSETELEM' ? errno.ENOMEM : 0),
      code: 100,
      msg: `cannot ${tried}: ENOMEM`,
      details: /refused the element/,
    },
    {
      name: 'a rule set that never stands still',
      refuse: (name) => (name === 'BATCH_BEGIN' ? 85 : 0),
      code: 11,
      msg: `cannot ${tried}: other changes to nf_tables kept coming between`,
      details: /64 attempts/,
    },
  ];
  for (const { name, refuse, code, msg, details } of rows) {
    const { kernel, firewall } = make();
    kernel.refuse = refuse;
    try {
      firewall.apply([add('10.1.0.5', 'a')]);
      t.fail(name);
    } catch (error) {
      const { code: gotCode, message, details: gotDetails } = error as CniError;
      t.strictSame({ code: gotCode, message }, { code, message: msg }, name);
      t.match(gotDetails, details, name);
    }
    t.strictSame(kernel.state.tables, [], `${name}: nothing is left`);
  }
});

t.test('nf_tables is usable when it answers about our table, there or not', async (t) => {
  const { kernel, firewall } = make();
  t.equal(firewall.nftablesUsable(), true);
  firewall.apply([add('10.1.0.5', 'a')]);
  t.equal(firewall.nftablesUsable(), true);
  t.equal(kernel.log.at(-1), 'GETTABLE');
});

/** A firewall on a kernel that gives no socket. */
const without = (number: number) =>
  makeFirewall(() => {
    throw new NoSocket('cannot open a netlink socket of protocol 12', number, '');
  });

t.test('without nf_tables nothing is usable, nothing is there, and nothing can be made', async (t) => {
  const none = without(errno.EPROTONOSUPPORT);
  t.equal(none.nftablesUsable(), false);
  t.match(none.nftablesMissing(), { code: 104 });
  t.strictSame(none.apply([uncheck('veth1'), del('10.1.0.5', 'a')]), [false, false], 'a DEL has nothing to do');
  t.strictSame([none.masqueraded('podnet'), none.masqueraded('podnet', '10.1.0.5')], [[], []]);
  t.strictSame(none.spoofCheckedAll(), []);
  t.throws(() => none.apply([check('veth1', '02:00:00:00:00:01')]), { code: 104 });
});

t.test('nor where nobody answers for nf_tables (nfnetlink without it: EINVAL)', async (t) => {
  const { kernel, firewall } = make();
  kernel.refuseGet = () => errno.EINVAL;
  kernel.refuse = (name) => (name === 'BATCH_BEGIN' ? errno.EOPNOTSUPP : 0);
  t.equal(firewall.nftablesUsable(), false);
  t.strictSame(firewall.apply([uncheck('veth1'), del('10.1.0.5', 'a')]), [false, false]);
  t.throws(() => firewall.apply([add('10.1.0.5', 'a')]), { code: 104 });
});

t.test('what else keeps the kernel from answering is an error, never "there is none"', async (t) => {
  t.throws(() => without(errno.EMFILE).nftablesUsable(), { code: 5, message: /EMFILE/ });
  t.throws(() => without(errno.EMFILE).apply([uncheck('veth1')]), { code: 5, message: /EMFILE/ });
  const { kernel, firewall } = make();
  for (const name of ['EPERM', 'EBUSY', 'EEXIST', 'ENODEV', 'EOPNOTSUPP', 'ENOBUFS'] as const) {
    kernel.refuseGet = () => errno[name];
    t.throws(() => firewall.nftablesUsable(), { code: 100, message: `cannot nft list table inet tsbridge: ${name}` });
    t.throws(() => firewall.apply([uncheck('veth1')]), { code: 100, message: new RegExp(name) });
    t.throws(() => firewall.masqueraded('podnet', '10.1.0.5'), { code: 100, message: new RegExp(name) });
    t.throws(() => firewall.masqueraded('podnet'), { code: 100, message: new RegExp(name) }, 'a dump');
  }
  const silent = fakeNetlink(() => [-errno.ENOBUFS]);
  const socket = NetlinkSocket.open(silent, protocol.NETFILTER);
  t.teardown(() => socket[Symbol.dispose]());
  t.throws(() => makeFirewall(() => socket).nftablesUsable(), { code: 100, message: /was lost/ });
});

t.test('a table of our name in which nothing acts', async (t) => {
  const dormant = 1;
  for (const [title, flags, comment, msg, details] of [
    ['of somebody else', dormant, 'mine', /inet tsbridge of nf_tables is dormant/, /not made by the plugin.*"mine"/],
    ['without a comment', dormant, '', /inet tsbridge of nf_tables is dormant/, /this one has none/],
    ['of our own', dormant, 'CNI plugin tsbridge', /is dormant/, /wake it up \(nft 'add table inet tsbridge'\)/],
    ['with an owner', 2, '', /belongs to a program/, /another table/],
  ] as const) {
    const { kernel, firewall } = make();
    kernel.state.tables = ['1 tsbridge', '7 tsbridge'];
    kernel.about = { flags, comment };
    t.throws(() => firewall.nftablesUsable(), { code: 102, message: msg, details }, title);
    const before = structuredClone(kernel.state);
    t.throws(() => firewall.apply([check('veth1', '02:00:00:00:00:01')]), { code: 102 }, title);
    t.strictSame(kernel.state, before);
  }
});

t.test("a chain of somebody else's in the place of ours", async (t) => {
  const { kernel, firewall } = make();
  kernel.refuse = (name) => (name === 'NEWCHAIN' ? errno.EEXIST : 0);
  t.throws(() => firewall.apply([add('10.1.0.5', 'a')]), { code: 102, message: /somebody else's chain/ });
});

t.test('names of sets', async (t) => {
  t.equal(setName('pods', 4, '10.net'), 'pods4.10.net');
  t.equal(setName('local', 6, 'a'), 'local6.a');
  const long = 'n'.repeat(255);
  t.equal(setName('pods', 4, long).length, 255);
  t.not(setName('pods', 4, long), setName('pods', 4, `${long.slice(1)}m`));
});

t.test('intervals that overlap are joined, and nothing else', async (t) => {
  const prefix = fc.tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 8, max: 24 })).map(([a, b, length]) => {
    const value = ((((10 << 24) | (a << 16) | (b << 8)) >>> 0) >>> (32 - length)) * 2 ** (32 - length);
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.0/${length}`;
  });
  const number = (key: Uint8Array) => Buffer.from(key).readUInt32BE(0);
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 8 }), fc.nat(0xffffff), (prefixes, offset) => {
      const address = 0x0a000000 + offset;
      const holds = ({ first, end }: { first: Uint8Array; end?: Uint8Array }) =>
        number(first) <= address && (!end || address < number(end));
      const joined = prefixIntervals(prefixes);
      const isDisjoint = joined.every(
        ({ first }, i) => i === 0 || number(joined[i - 1]?.end as Uint8Array) <= number(first),
      );
      return isDisjoint && joined.some(holds) === prefixes.some((one) => prefixIntervals([one]).some(holds));
    }),
  );
  t.strictSame(
    intervalsOf(intervalElements(prefixIntervals(['10.1.0.0/16', '255.0.0.0/8', '10.0.0.0/16'])).reverse()),
    prefixIntervals(['10.0.0.0/16', '10.1.0.0/16', '255.0.0.0/8']),
    'elements and back, in whatever order the kernel gives them; neighbours stay apart',
  );
  t.strictSame(joinOverlapping(prefixIntervals(['0.0.0.0/0', '10.0.0.0/8'])), [{ first: Uint8Array.of(0, 0, 0, 0) }]);
});
