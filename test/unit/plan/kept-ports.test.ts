import t from 'tap';
import type { HostPortsConf } from '../../../src/cni/netconf.ts';
import { formatKeptPorts, parseKeptPorts } from '../../../src/plan/kept-ports.ts';

const rows: [HostPortsConf, string][] = [
  [
    { mappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }], snat: true, masqAll: false },
    'own;tcp/8080/80',
  ],
  [
    {
      mappings: [
        { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '2001:db8::1' },
        { hostPort: 65535, containerPort: 1, protocol: 'sctp', hostIP: '0.0.0.0' },
      ],
      snat: true,
      masqAll: true,
    },
    'all;udp/53/5353/2001:db8::1;sctp/65535/1/0.0.0.0',
  ],
  [{ mappings: [{ hostPort: 1, containerPort: 2, protocol: 'tcp' }], snat: false, masqAll: false }, 'none;tcp/1/2'],
];

t.test('ports are written and read back', async (t) => {
  for (const [conf, text] of rows) {
    t.equal(formatKeptPorts(conf), text);
    t.strictSame(parseKeptPorts(text), conf);
  }
});

t.test('what is no list of ports is not taken for one', async (t) => {
  for (const text of [
    '',
    'own',
    'own;',
    'some;tcp/1/2',
    'own;icmp/1/2',
    'own;tcp/0/2',
    'own;tcp/1/65536',
    'own;tcp/1',
    'own;tcp/1/2/host',
    'own;tcp/1/2/10.0.0.1/3',
    'own;tcp/1/2;tcp/3',
  ])
    t.equal(parseKeptPorts(text), undefined, text);
});
