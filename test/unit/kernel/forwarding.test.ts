import t from 'tap';
import { extension, isInterface, type Probe } from '../../../src/kernel/forwarding/probe.ts';

const probe = (state: Probe['state']): Probe => ({
  family: 4,
  iif: 'cni0',
  oif: 'eth0',
  source: '10.1.0.2',
  destination: '198.51.100.1',
  state,
});

/** struct xt_conntrack_mtinfo3, as iptables -m conntrack --ctstate makes it: flags, inverted flags, states. */
function conntrack(flags: number, inverted: number, states: number): Uint8Array {
  const info = new Uint8Array(168);
  info[146] = flags;
  info[148] = inverted;
  info[150] = states;
  return info;
}
const mark = (value: number, inverted: boolean) =>
  Uint8Array.of(value, 0, 0, 0, 255, 0, 0, 0, Number(inverted), 0, 0, 0);

t.test('what a match of iptables says of a packet', async (t) => {
  for (const [name, match, info, state, expected] of [
    ['a comment', 'comment', new Uint8Array(256), 'new', 'yes'],
    ['RELATED,ESTABLISHED, of the first packet', 'conntrack', conntrack(1, 0, 6), 'new', 'no'],
    ['RELATED,ESTABLISHED, of an answer', 'conntrack', conntrack(1, 0, 6), 'established', 'yes'],
    ['not ESTABLISHED, of an answer', 'conntrack', conntrack(1, 1, 2), 'established', 'no'],
    ['INVALID', 'conntrack', conntrack(1, 0, 1), 'new', 'no'],
    ['something else of a connection', 'conntrack', conntrack(2, 0, 0), 'new', 'perhaps'],
    ['-m state --state NEW', 'state', Uint8Array.of(8, 0, 0, 0), 'new', 'yes'],
    ['a mark', 'mark', mark(4, false), 'new', 'no'],
    ['no such mark', 'mark', mark(4, true), 'new', 'yes'],
    ['what nobody can say', 'limit', new Uint8Array(40), 'new', 'perhaps'],
  ] as const) {
    t.equal(extension(match, info, probe(state)), expected, name);
  }
});

t.test('names of interfaces', async (t) => {
  for (const [pattern, dev, expected] of [
    ['cni0\0', 'cni0', true],
    ['cni0\0', 'cni01', false],
    ['cni', 'cni0', true],
    ['cni', 'eth0', false],
    ['', 'eth0', true],
  ] as const) {
    t.equal(isInterface(Buffer.from(pattern), dev), expected, `${JSON.stringify(pattern)} ${dev}`);
  }
});
