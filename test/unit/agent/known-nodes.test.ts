import t from 'tap';
import { KnownNodes } from '../../../src/agent/known-nodes.ts';
import type { ClusterNode } from '../../../src/agent/node-object.ts';

const node = (name: string, range = `10.244.${name.slice(1)}.0/24`): ClusterNode => ({
  name,
  created: '2026-01-01T00:00:00Z',
  ranges: [range],
  addresses: [`192.0.2.${name.slice(1)}`],
});
const names = (nodes: KnownNodes) => [...nodes.all()].map(({ name }) => name).sort();
const delay = 1000;

t.test('a list without the own node changes nothing', async (t) => {
  const nodes = new KnownNodes('n1', delay);
  t.equal(nodes.listed([], 0), false, 'an empty one');
  t.equal(nodes.listed([node('n2')], 0), false);
  t.equal(nodes.own, undefined);
  t.equal(nodes.listed([node('n1'), node('n2')], 0), true);
  t.equal(nodes.listed([node('n2')], 5000), false);
  t.strictSame(names(nodes), ['n1', 'n2']);
});

t.test('what a list lacks stays until a second one, long enough after the first, lacks it', async (t) => {
  const nodes = new KnownNodes('n1', delay);
  nodes.listed([node('n1'), node('n2'), node('n3')], 0);
  nodes.listed([node('n1')], 100);
  t.strictSame(
    [names(nodes), nodes.held],
    [
      ['n1', 'n2', 'n3'],
      ['n2', 'n3'],
    ],
  );
  t.equal(nodes.nextListMs(false), 1100);
  nodes.listed([node('n1'), node('n3')], 600);
  t.strictSame([names(nodes), nodes.held], [['n1', 'n2', 'n3'], ['n2']], 'n3 is back; for n2 it is too early');
  nodes.listed([node('n1'), node('n3')], 1100);
  t.strictSame([names(nodes), nodes.held, nodes.nextListMs(false)], [['n1', 'n3'], [], undefined]);
});

t.test('an event is believed at once', async (t) => {
  const nodes = new KnownNodes('n1', delay);
  nodes.listed([node('n1'), node('n2')], 0);
  t.equal(nodes.changed(node('n2')), false, 'the same again: a heartbeat');
  t.equal(nodes.changed(node('n2', '10.244.9.0/24')), true);
  t.equal(nodes.deleted('n2'), true);
  t.equal(nodes.deleted('n2'), false);
  t.equal(nodes.deleted('n1'), false, 'the own node: what this machine has stays');
  t.strictSame(names(nodes), ['n1']);
});

t.test('what nobody explains goes when two lists were of one mind', async (t) => {
  const nodes = new KnownNodes('n1', delay);
  t.equal(nodes.nextListMs(true), undefined);
  nodes.listed([node('n1')], 0);
  t.strictSame([nodes.isSure, nodes.nextListMs(true)], [false, 1000]);
  nodes.listed([node('n1')], 500);
  t.equal(nodes.isSure, false, 'too early');
  nodes.listed([node('n1')], 1000);
  t.strictSame([nodes.isSure, nodes.nextListMs(true)], [true, undefined]);
});
