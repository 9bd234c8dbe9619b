import t from 'tap';
import { type Entry, formatEntry, parseEntry, shortBoot } from '../../../../src/ipam/store/index-entry.ts';

const rows: [string, Entry, string][] = [
  [
    'made here, for an interface of this namespace',
    { life: { boot: '1f0c2d3e', cookie: '1' }, written: 1763668800, ips: ['10.1.2.3', '2001:db8::3'] },
    '1f0c2d3e.1,t61jk0,10.1.2.3,2001:db8::3',
  ],
  [
    'made in this boot by another plugin, or for one',
    { life: { boot: '1f0c2d3e' }, written: 1763668800, ips: ['10.1.2.3'] },
    '1f0c2d3e,t61jk0,10.1.2.3',
  ],
  [
    'with the pod that has them',
    { life: { boot: '1f0c2d3e', cookie: '1' }, written: 1763668800, ips: ['10.1.2.3'], pod: 'kube-system/coredns-0' },
    '1f0c2d3e.1,t61jk0,10.1.2.3,kube-system/coredns-0',
  ],
  [
    'with ports of the host',
    {
      life: { boot: '1f0c2d3e' },
      written: 1763668800,
      ips: ['10.1.2.3'],
      pod: 'default/web',
      ports: 'own;tcp/8080/80',
    },
    '1f0c2d3e,t61jk0,10.1.2.3,default/web,+own;tcp/8080/80',
  ],
  ['perhaps written by a person', { life: undefined, written: 0, ips: ['10.1.2.3'] }, '-,0,10.1.2.3'],
];

t.test('an entry is written and read back', async (t) => {
  for (const [name, entry, text] of rows) {
    t.equal(formatEntry(entry), text, name);
    t.strictSame(parseEntry(text), entry, name);
  }
});

t.test('what is no entry is not taken for one', async (t) => {
  for (const text of [
    '',
    '10.1.2.3',
    '1f0c2d3e.1,t61xc0',
    '../../10.1.2.3',
    'X,t61xc0,10.1.2.3',
    '1f0c2d3e,T!,10.1.2.3',
    '1f0c2d3e,t61xc0,default/web',
    '1f0c2d3e,t61xc0,10.1.2.3,default/\x1b[2J',
  ]) {
    t.equal(parseEntry(text), undefined, text);
  }
});

t.test('a boot id is shortened', async (t) => {
  t.equal(shortBoot('1F0C2D3E-0b1a-4c3d-8e4f-000000000000\n'), '1f0c2d3e');
});
