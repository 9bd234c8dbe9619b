import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { judge } from '../../../src/cni/judge.ts';
import { parseNetConf } from '../../../src/cni/parse-netconf.ts';
import { type Command, parseRequest } from '../../../src/cni/request.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'tsbridge',
  capabilities: { portMappings: true },
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16' }]] },
};

function parse(portMappings: unknown, over: object = {}, command: Command = 'ADD') {
  const env = { CNI_COMMAND: command, CNI_CONTAINERID: 'pod', CNI_NETNS: '/n', CNI_IFNAME: 'eth0', CNI_PATH: '/p' };
  const json = JSON.stringify({ ...conf, runtimeConfig: { portMappings }, ...over });
  const request = parseRequest(env);
  const parsed = parseNetConf(json, request) ?? parseNetConf(json, request, judge);
  if (parsed.role !== 'main') throw new Error(parsed.role);
  return { hostPorts: parsed.conf.hostPorts, warnings: parsed.warnings };
}

const entry = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };

t.test('port mappings as runtimes send them', async (t) => {
  const own = { snat: true, masqAll: false };
  const table: [string, unknown, object | undefined][] = [
    ["podman's", [entry], { ...own, mappings: [entry] }],
    [
      "containerd's",
      [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
      { ...own, mappings: [entry] },
    ],
    [
      'a protocol in any case',
      [{ ...entry, protocol: 'SCTP' }],
      { ...own, mappings: [{ ...entry, protocol: 'sctp' }] },
    ],
    ['an address', [{ ...entry, hostIP: 'FD00::0:1' }], { ...own, mappings: [{ ...entry, hostIP: 'fd00::1' }] }],
    [
      'an IPv4 address in IPv6',
      [{ ...entry, hostIP: '::ffff:10.0.0.1' }],
      { ...own, mappings: [{ ...entry, hostIP: '10.0.0.1' }] },
    ],
    [
      'the same twice',
      [entry, { ...entry, hostIP: '' }, { ...entry, hostIP: '0.0.0.0' }],
      { ...own, mappings: [entry] },
    ],
    [
      'an address beside all of them',
      [entry, { ...entry, hostIP: '10.0.0.1', containerPort: 81 }],
      { ...own, mappings: [entry, { ...entry, hostIP: '10.0.0.1', containerPort: 81 }] },
    ],
    ['none', [], undefined],
    ['null', null, undefined],
  ];
  for (const [title, mappings, expected] of table) t.strictSame(parse(mappings).hostPorts, expected, title);
  t.equal(parse([entry], { capabilities: {} }).hostPorts, undefined, 'without the capability');
  t.equal(
    parse('nonsense', { capabilities: { portMappings: false } }).hostPorts,
    undefined,
    'and then nobody looks at it',
  );
  t.match(parse([entry], { snat: false, masqAll: true }).hostPorts, { snat: false, masqAll: true });
  t.match(
    parse([entry], { backend: 'nftables', conditionsV4: [], conditionsV6: null, ipMasqBackend: 'iptables' }).hostPorts,
    own,
  );
  t.strictSame(parse([entry], { ipam: {} }).warnings, ['runtimeConfig.portMappings: they do nothing without ipam']);
});

t.test('what is refused, and what a DEL does with it', async (t) => {
  const table: [object[] | string, object, string][] = [
    [[{ ...entry, hostPort: 0 }], {}, 'runtimeConfig.portMappings[0].hostPort: 0 is not a port (1 to 65535)'],
    [
      [{ ...entry, containerPort: 65536 }],
      {},
      'runtimeConfig.portMappings[0].containerPort: 65536 is not a port (1 to 65535)',
    ],
    [
      [entry, { hostPort: 1, containerPort: 1 }],
      {},
      'runtimeConfig.portMappings[1]: has no protocol; expected one of tcp, udp, sctp',
    ],
    [
      [{ containerPort: 1, protocol: 'tcp' }],
      {},
      'runtimeConfig.portMappings[0]: has no hostPort; expected a port (1 to 65535)',
    ],
    [
      [{ ...entry, protocol: 'icmp' }],
      {},
      'runtimeConfig.portMappings[0].protocol: "icmp" is not a protocol; expected one of tcp, udp, sctp',
    ],
    [[{ ...entry, hostIP: 'localhost' }], {}, 'runtimeConfig.portMappings[0].hostIP: "localhost" is not an IP address'],
    [[{ ...entry, hostIP: '::1' }], {}, 'runtimeConfig.portMappings[0].hostIP: "::1" has no host ports'],
    [
      [entry, { ...entry, containerPort: 81 }],
      {},
      'runtimeConfig.portMappings[1]: host port tcp 8080 is to lead to port 80 and to port 81',
    ],
    [
      [entry, { ...entry, containerPort: 81, hostIP: '::' }],
      {},
      'runtimeConfig.portMappings[1]: host port tcp 8080 is to lead to port 80 and to port 81',
    ],
    ['8080:80', {}, 'runtimeConfig.portMappings: expected a list of port mappings, found the string "8080:80"'],
    [[entry], { backend: 'iptables' }, 'backend: "iptables" does not map host ports here'],
    [[entry], { backend: 'ipvs' }, 'backend: "ipvs" is not known; expected nftables'],
    [[entry], { markMasqBit: 13 }, 'markMasqBit: the mark is for rules of iptables'],
    [[entry], { externalSetMarkChain: 'KUBE-MARK-MASQ' }, 'externalSetMarkChain: the chain is one of iptables'],
    [[entry], { conditionsV4: ['-s', '10.0.0.0/8'] }, 'conditionsV4: its conditions are words for the programs'],
    [[entry], { snat: 'no' }, 'snat: expected true or false, found the string "no"'],
  ];
  for (const [mappings, over, message] of table) {
    try {
      parse(mappings, over);
      t.fail(message);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      t.equal(error.code, 7);
      t.equal(error.message.slice(0, message.length), message);
    }
    t.match(parse(mappings, over, 'DEL').warnings.join(), message, 'DEL goes on');
  }
});
