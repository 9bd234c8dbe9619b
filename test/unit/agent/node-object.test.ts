import t from 'tap';
import { parseNode } from '../../../src/agent/node-object.ts';

t.test('of a node four things are kept', async (t) => {
  t.strictSame(
    parseNode({
      metadata: { name: 'n1', uid: 'x', creationTimestamp: '2026-01-01T00:00:00Z', labels: { a: 'b' } },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00::/64'] },
      status: {
        addresses: [
          { type: 'Hostname', address: 'n1' },
          { type: 'InternalIP', address: '192.0.2.1' },
          { type: 'ExternalIP', address: '203.0.113.1' },
          { type: 'InternalIP', address: '2001:db8::1' },
        ],
        images: [{}],
      },
    }),
    {
      name: 'n1',
      created: '2026-01-01T00:00:00Z',
      ranges: ['10.244.1.0/24', 'fd00::/64'],
      addresses: ['192.0.2.1', '2001:db8::1'],
    },
  );
});

t.test('objects that are not as they should be', async (t) => {
  const empty = { name: 'n', created: '', ranges: [], addresses: [] };
  for (const [name, object, expected] of [
    ['nothing', undefined, undefined],
    ['a text', 'n', undefined],
    ['without a name', { metadata: {} }, undefined],
    ['a name that is a number', { metadata: { name: 1 } }, undefined],
    ['a name alone', { metadata: { name: 'n' } }, empty],
    [
      'fields of other types',
      { metadata: { name: 'n', creationTimestamp: 1 }, spec: [], status: { addresses: {} } },
      empty,
    ],
    [
      'only podCIDR',
      { metadata: { name: 'n' }, spec: { podCIDR: '10.0.0.0/24' } },
      { ...empty, ranges: ['10.0.0.0/24'] },
    ],
    ['ranges of other types', { metadata: { name: 'n' }, spec: { podCIDRs: [1, null, {}, ''] } }, empty],
    [
      'thousands of ranges',
      { metadata: { name: 'n' }, spec: { podCIDRs: Array(5000).fill('10.0.0.0/24') } },
      { ...empty, ranges: Array(8).fill('10.0.0.0/24') },
    ],
    [
      'a long one',
      { metadata: { name: 'n' }, spec: { podCIDRs: ['1'.repeat(100_000)] } },
      { ...empty, ranges: ['1'.repeat(64)] },
    ],
  ] satisfies [string, unknown, unknown][]) {
    t.strictSame(parseNode(object), expected, name);
  }
});
