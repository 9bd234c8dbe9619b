import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { judge } from '../../../src/cni/judge.ts';
import { parseResult } from '../../../src/cni/result-parse.ts';

const none = { interfaces: [], ips: [], routes: [], dns: {} };

t.test('results that are understood', async (t) => {
  const table: [string, unknown, string, object][] = [
    ['nothing at all', {}, '1.0.0', none],
    ['nulls, which count as absent', { interfaces: null, ips: null, routes: null, dns: null }, '1.0.0', none],
    [
      '0.2.0 by its own word, both families',
      {
        cniVersion: '0.2.0',
        ip4: { ip: '10.1.2.2/24', gateway: '10.1.2.1', routes: [{ dst: '0.0.0.0/0' }] },
        ip6: { ip: 'FD00::2/64', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
        dns: { nameservers: ['1.1.1.1'] },
      },
      '1.0.0',
      {
        ...none,
        ips: [{ address: '10.1.2.2/24', gateway: '10.1.2.1' }, { address: 'fd00::2/64' }],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00::1' }],
        dns: { nameservers: ['1.1.1.1'] },
      },
    ],
    [
      '0.1.0 by the configuration',
      { ip4: { ip: '10.1.2.2/24' } },
      '0.1.0',
      { ...none, ips: [{ address: '10.1.2.2/24' }] },
    ],
    [
      'an empty version, as good as absent',
      { cniVersion: '', ip4: { ip: '10.1.2.2/24' } },
      '0.2.0',
      { ...none, ips: [{ address: '10.1.2.2/24' }] },
    ],
    [
      'an abbreviated result of an IPAM plugin, 0.4.0',
      { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.1.2.2/24', gateway: '10.1.2.1' }], dns: {} },
      '0.4.0',
      { ...none, ips: [{ address: '10.1.2.2/24', gateway: '10.1.2.1' }] },
    ],
    [
      'Go-cased keys, an upper-case MAC, and keys that nobody knows',
      {
        CniVersion: '1.0.0',
        Interfaces: [{ Name: 'eth0', Mac: '02:AA:BB:CC:DD:EE', Sandbox: '/x', Frob: 1 }],
        IPs: [{ Address: '10.1.2.2/24', Interface: 0 }],
      },
      '1.0.0',
      {
        ...none,
        interfaces: [{ name: 'eth0', mac: '02:aa:bb:cc:dd:ee', sandbox: '/x' }],
        ips: [{ address: '10.1.2.2/24', interface: 0 }],
      },
    ],
    [
      'routes: host bits are cleared, zeros are the default except for table and scope',
      { routes: [{ dst: '3ffe:ffff:0:01ff::1/64', gw: '', mtu: 0, advmss: 0, priority: 0, table: 0, scope: 0 }] },
      '1.1.0',
      { ...none, routes: [{ dst: '3ffe:ffff:0:1ff::/64', table: 0, scope: 0 }] },
    ],
    [
      'what only 1.1.0 has',
      {
        interfaces: [{ name: 'n', mtu: 1400, socketPath: '/s', pciID: 'p' }],
        routes: [{ dst: '10.0.0.0/8', mtu: 1300, advmss: 1200, priority: 5, table: 100, scope: 253 }],
      },
      '1.1.0',
      {
        ...none,
        interfaces: [{ name: 'n', mtu: 1400, socketPath: '/s', pciID: 'p' }],
        routes: [{ dst: '10.0.0.0/8', mtu: 1300, advmss: 1200, priority: 5, table: 100, scope: 253 }],
      },
    ],
  ];
  for (const [name, value, version, expected] of table) {
    t.test(name, async (t) => t.strictSame(parseResult(value, version, 'prevResult', judge), expected));
  }
});

t.test('results that are refused', async (t) => {
  const table: [string, unknown, number, string, string?][] = [
    ['a list', [], 7, 'prevResult: expected an object, found a list'],
    ['null', null, 7, 'prevResult: expected an object, found null'],
    [
      'a version that is not spoken',
      { cniVersion: '2.0.0' },
      1,
      'prevResult.cniVersion: "2.0.0" is not spoken',
      'expected one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
    ],
    ['ips that are no list', { ips: {} }, 7, 'prevResult.ips: expected a list of addresses, found an object'],
    ['null in a list', { ips: [null] }, 7, 'prevResult.ips[0]: expected an object, found null'],
    [
      'an address that is missing',
      { ips: [{}] },
      7,
      'prevResult.ips[0]: has no address; expected one with its prefix length there, like 10.1.0.5/16',
    ],
    [
      'an address without its length',
      { ips: [{ address: '10.1.2.2' }] },
      7,
      'prevResult.ips[0].address: "10.1.2.2" is not an address; expected one with its prefix length, like 10.1.0.5/16',
    ],
    [
      'an IPv4-mapped address',
      { ips: [{ address: '::ffff:10.1.2.2/24' }] },
      7,
      'prevResult.ips[0].address: "::ffff:10.1.2.2/24" is not an address; expected one with its prefix length, like 10.1.0.5/16',
    ],
    [
      'a gateway of the other family',
      { ips: [{ address: '10.1.2.2/24', gateway: 'fd00::1' }] },
      7,
      'prevResult.ips[0]: address 10.1.2.2/24 and gateway fd00::1 must be of one family',
    ],
    [
      'an interface that is not there',
      { ips: [{ address: '10.1.2.2/24', interface: 0 }] },
      7,
      'prevResult.ips[0].interface: 0 is not one of the interfaces; there are none',
    ],
    [
      'an interface beyond those there',
      { interfaces: [{ name: 'a' }], ips: [{ address: '10.1.2.2/24', interface: 1 }] },
      7,
      'prevResult.ips[0].interface: 1 is not one of the interfaces; there are 1, counted from 0',
    ],
    [
      'a name that is no string',
      { interfaces: [{ name: 5 }] },
      7,
      'prevResult.interfaces[0].name: expected a string, found the number 5',
    ],
    ['a fraction', { interfaces: [{ name: 'a', mtu: 1.5 }] }, 7, 'prevResult.interfaces[0].mtu: 1.5 is not an MTU'],
    [
      'a route without a destination',
      { routes: [{}] },
      7,
      'prevResult.routes[0]: has no dst; expected a prefix like 0.0.0.0/0 there',
    ],
    [
      'a route to an address without its length',
      { routes: [{ dst: '10.0.0.0' }] },
      7,
      'prevResult.routes[0].dst: "10.0.0.0" is not a destination; expected a prefix like 10.2.0.0/16 or ::/0',
    ],
    [
      'a route through the other family',
      { routes: [{ dst: '::/0', gw: '10.1.2.1' }] },
      7,
      'prevResult.routes[0]: dst ::/0 is IPv6, but gw 10.1.2.1 is IPv4; both must be of one family',
    ],
    [
      'dns of a wrong type',
      { dns: { search: 'a' } },
      7,
      'prevResult.dns.search: expected a list of strings, found the string "a"',
    ],
    [
      'ip4 that is IPv6',
      { cniVersion: '0.2.0', ip4: { ip: 'fd00::2/64' } },
      7,
      'prevResult.ip4: ip fd00::2/64 is not an IPv4 address',
    ],
    [
      'ip6 without ip',
      { cniVersion: '0.2.0', ip6: {} },
      7,
      'prevResult.ip6: has no ip; expected an address with its prefix length there',
    ],
  ];
  for (const [name, value, code, message, details] of table) {
    t.test(name, async (t) => {
      const error = t.throws(() => parseResult(value, '1.1.0', 'prevResult', judge), CniError) as CniError;
      t.strictSame([error.code, error.message, error.details], [code, message, details]);
    });
  }
});
