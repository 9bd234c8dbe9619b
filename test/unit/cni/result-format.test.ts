import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { judge } from '../../../src/cni/judge.ts';
import type { Result } from '../../../src/cni/result.ts';
import { formatResult } from '../../../src/cni/result-format.ts';
import { parseResult } from '../../../src/cni/result-parse.ts';
import { supportedVersions } from '../../../src/cni/version.ts';

const result: Result = {
  interfaces: [
    { name: 'cni0', mac: '02:00:00:00:00:01', mtu: 1500 },
    { name: 'veth1', mac: '02:00:00:00:00:02' },
    { name: 'eth0', mac: '02:00:00:00:00:03', mtu: 1400, sandbox: '/run/netns/x', socketPath: '/s', pciID: '0:1' },
  ],
  ips: [
    { address: '10.1.2.2/24', gateway: '10.1.2.1', interface: 2 },
    { address: '10.2.2.2/24', interface: 2 },
    { address: 'fd00::2/64', gateway: 'fd00::1', interface: 2 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.1.2.1', mtu: 1300, priority: 7 },
    { dst: '::/0', gw: 'fd00::1', table: 0, scope: 0, advmss: 1200 },
    { dst: '10.9.0.0/16' },
  ],
  dns: { nameservers: ['10.1.2.1'], domain: 'local', search: ['a', 'b'], options: ['ndots:2'] },
};
const none: Result = { interfaces: [], ips: [], routes: [], dns: {} };
const dns = result.dns;

/** The document as text with one key a line would be long: the order of keys is compared through JSON.stringify. */
const same = (t: { equal(found: unknown, wanted: unknown): boolean }, text: string, expected: object) => {
  t.equal(text, `${JSON.stringify(expected, null, 4)}\n`);
};

t.test('0.1.0 and 0.2.0: the first address of each family, routes beside it, no interfaces', async (t) => {
  for (const cniVersion of ['0.1.0', '0.2.0']) {
    same(t, formatResult(result, cniVersion), {
      cniVersion,
      ip4: {
        ip: '10.1.2.2/24',
        gateway: '10.1.2.1',
        routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }, { dst: '10.9.0.0/16' }],
      },
      ip6: { ip: 'fd00::2/64', gateway: 'fd00::1', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
      dns,
    });
  }
});

t.test('0.2.0 with one family has no trace of the other', async (t) => {
  const only6: Result = { ...none, ips: [{ address: 'fd00::2/64' }] };
  same(t, formatResult(only6, '0.2.0'), { cniVersion: '0.2.0', ip6: { ip: 'fd00::2/64' }, dns: {} });
});

t.test('0.2.0 has no words for a result without addresses', async (t) => {
  const error = t.throws(() => formatResult(none, '0.2.0'), CniError) as CniError;
  t.strictSame(
    [error.code, error.message],
    [7, 'cniVersion: 0.2.0 cannot express a result without addresses; expected 0.3.0 or newer, or ipam'],
  );
});

t.test('0.3.0 to 0.4.0: addresses with their version, interfaces of three keys', async (t) => {
  for (const cniVersion of ['0.3.0', '0.3.1', '0.4.0']) {
    same(t, formatResult(result, cniVersion), {
      cniVersion,
      interfaces: [
        { name: 'cni0', mac: '02:00:00:00:00:01' },
        { name: 'veth1', mac: '02:00:00:00:00:02' },
        { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/x' },
      ],
      ips: [
        { version: '4', interface: 2, address: '10.1.2.2/24', gateway: '10.1.2.1' },
        { version: '4', interface: 2, address: '10.2.2.2/24' },
        { version: '6', interface: 2, address: 'fd00::2/64', gateway: 'fd00::1' },
      ],
      routes: result.routes.map(orderedRoute),
      dns,
    });
  }
});

t.test('0.4.0 has dns even when there is none, and no other empty key', async (t) => {
  same(t, formatResult(none, '0.4.0'), { cniVersion: '0.4.0', dns: {} });
});

t.test('1.0.0 and 1.1.0: addresses without version, everything of an interface', async (t) => {
  for (const cniVersion of ['1.0.0', '1.1.0']) {
    same(t, formatResult(result, cniVersion), {
      cniVersion,
      interfaces: [
        { name: 'cni0', mac: '02:00:00:00:00:01', mtu: 1500 },
        { name: 'veth1', mac: '02:00:00:00:00:02' },
        { name: 'eth0', mac: '02:00:00:00:00:03', mtu: 1400, sandbox: '/run/netns/x', socketPath: '/s', pciID: '0:1' },
      ],
      ips: result.ips.map(({ address, gateway, interface: index }) => ({ address, gateway, interface: index })),
      routes: result.routes.map(orderedRoute),
      dns,
    });
  }
});

t.test('1.1.0 has no key for what is not there', async (t) => {
  same(t, formatResult({ ...none, dns: { nameservers: [], search: [] } }, '1.1.0'), { cniVersion: '1.1.0' });
});

t.test('a result of an IPAM plugin has no interfaces, and its addresses no index', async (t) => {
  same(t, formatResult({ ...none, ips: [{ address: '10.1.2.2/24', gateway: '10.1.2.1' }] }, '0.4.0'), {
    cniVersion: '0.4.0',
    ips: [{ version: '4', address: '10.1.2.2/24', gateway: '10.1.2.1' }],
    dns: {},
  });
});

t.test('what is printed reads back as what that version can express', async (t) => {
  for (const cniVersion of supportedVersions) {
    const text = formatResult(result, cniVersion);
    const back = parseResult(JSON.parse(text), 'unused', 'prevResult', judge);
    t.equal(formatResult(back, cniVersion), text, cniVersion);
  }
  t.strictSame(parseResult(JSON.parse(formatResult(result, '1.1.0')), 'unused', 'prevResult', judge), result);
});

function orderedRoute({ dst, gw, mtu, advmss, priority, table, scope }: Result['routes'][number]) {
  return { dst, gw, mtu, advmss, priority, table, scope };
}
