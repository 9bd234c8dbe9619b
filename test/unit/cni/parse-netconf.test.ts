import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { judge } from '../../../src/cni/judge.ts';
import { parseNetConf } from '../../../src/cni/parse-netconf.ts';
import { type Command, parseRequest } from '../../../src/cni/request.ts';

const requestOf = (command: Command, args = '') =>
  parseRequest({
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'pod-1',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
    CNI_ARGS: args,
  });

const parse = (conf: object, command: Command = 'ADD', args = '') =>
  parseNetConf(JSON.stringify(conf), requestOf(command, args), judge);

/** A configuration of an L2 network that is fine, to which a row adds what it is about. */
const head = { cniVersion: '1.1.0', name: 'net', type: 'tsbridge' };
const range = { subnet: '10.1.0.0/16' };
const ipam = { type: 'host-local', ranges: [[range]] };
const l3 = { ...head, ipam };

/** What is made of `head`. */
const plain = {
  ...head,
  bridge: 'cni0',
  isGateway: false,
  isDefaultGateway: false,
  forceAddress: false,
  ipMasq: false,
  nonMasqueradeCIDRs: [],
  mtu: 0,
  hairpinMode: false,
  promiscMode: false,
  vlan: 0,
  vlanTrunk: [],
  preserveDefaultVlan: false,
  macspoofchk: false,
  enabledad: false,
  disableContainerInterface: false,
  portIsolation: false,
  statusErrorWhenFull: false,
  dns: {},
};

const parsedRange = {
  subnet: '10.1.0.0/16',
  rangeStart: '10.1.0.1',
  rangeEnd: '10.1.255.254',
  gateway: '10.1.0.1',
};

/** What is made of `ipam`. */
const hostLocal = {
  type: 'host-local',
  ranges: [[parsedRange]],
  routes: [],
  dataDir: '/var/lib/cni/networks',
  requestedIps: [],
  exclude: [],
  sticky: false,
  lockTimeoutMs: 30_000,
};

const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/16' }] };
const parsedPrevious = { interfaces: [], ips: [{ address: '10.1.0.5/16' }], routes: [], dns: {} };

t.test('configurations that are understood', async (t) => {
  const table: [string, object, object, { command?: Command; args?: string }?][] = [
    ['an L2 network', head, plain],
    ['an L2 network, its ipam without a type', { ...head, ipam: {} }, plain],
    ['an L2 network, its ipam with an empty type', { ...head, ipam: { type: '' } }, plain],
    ['an L3 network', l3, { ...plain, ipam: hostLocal }],
    ['host-local under its own name', { ...head, ipam: { ...ipam, type: 'tsbridge' } }, { ...plain, ipam: hostLocal }],
    [
      'another IPAM plugin, whose keys are its own',
      { ...head, ipam: { type: 'dhcp', routes: 'x', ranges: 5 } },
      { ...plain, ipam: { type: 'dhcp', delegated: true } },
    ],
    [
      'the patience with another IPAM plugin',
      { ...head, ipam: { type: 'dhcp' }, ipamTimeoutMs: 240_000 },
      { ...plain, ipam: { type: 'dhcp', delegated: true }, ipamTimeoutMs: 240_000 },
    ],
    ['a version that is missing', { name: 'net', ipam }, { ...plain, cniVersion: '0.1.0', ipam: hostLocal }],
    [
      'a version that is empty',
      { name: 'net', cniVersion: '', ipam },
      { ...plain, cniVersion: '0.1.0', ipam: hostLocal },
    ],
    [
      'the plugin installed under another name',
      { ...l3, type: 'bridge' },
      { ...plain, type: 'bridge', ipam: hostLocal },
    ],
    [
      'every option',
      {
        ...head,
        bridge: 'br-1',
        isDefaultGateway: true,
        forceAddress: true,
        ipMasq: true,
        ipMasqBackend: 'iptables',
        nonMasqueradeCIDRs: ['10.9.9.9/8', 'fd00::1/8'],
        mtu: 1400,
        hairpinMode: true,
        vlan: 5,
        vlanTrunk: [{ id: 7 }, { minID: 10, maxID: 20 }, { id: 30, minID: 40, maxID: 40 }, {}],
        preserveDefaultVlan: true,
        macspoofchk: true,
        enabledad: true,
        portIsolation: true,
        dns: { nameservers: ['1.1.1.1'], domain: '', search: ['a'], options: [] },
        logLevel: 'debug',
        logFile: '/var/log/tsbridge.log',
        ipam: {
          type: 'host-local',
          subnet: '10.1.0.0/16',
          rangeStart: '10.1.0.10',
          rangeEnd: '10.1.0.20',
          gateway: '10.1.255.254',
          ranges: [[{ subnet: 'fd00:1::/64', rangeStart: '', rangeEnd: '', gateway: '' }]],
          routes: [{ dst: '10.2.3.4/16' }, { dst: '::/0', gw: 'FD00:1::1', mtu: 1300, priority: 5 }],
          dataDir: '/run/x',
          resolvConf: '/etc/resolv.conf',
          exclude: ['10.1.0.12', '10.1.0.17/31', 'fd00:1::/120'],
          sticky: true,
          lockTimeoutMs: 0,
        },
      },
      {
        ...plain,
        bridge: 'br-1',
        isGateway: true,
        isDefaultGateway: true,
        forceAddress: true,
        ipMasq: true,
        ipMasqBackend: 'iptables',
        nonMasqueradeCIDRs: ['10.0.0.0/8', 'fd00::/8'],
        mtu: 1400,
        hairpinMode: true,
        vlan: 5,
        vlanTrunk: [
          { minID: 7, maxID: 7 },
          { minID: 10, maxID: 20 },
          { minID: 40, maxID: 40 },
          { minID: 30, maxID: 30 },
        ],
        preserveDefaultVlan: true,
        macspoofchk: true,
        enabledad: true,
        portIsolation: true,
        dns: { nameservers: ['1.1.1.1'], search: ['a'] },
        logLevel: 'debug',
        logFile: '/var/log/tsbridge.log',
        ipam: {
          ...hostLocal,
          ranges: [
            [{ subnet: '10.1.0.0/16', rangeStart: '10.1.0.10', rangeEnd: '10.1.0.20', gateway: '10.1.255.254' }],
            [
              {
                subnet: 'fd00:1::/64',
                rangeStart: 'fd00:1::1',
                rangeEnd: 'fd00:1::ffff:ffff:ffff:ffff',
                gateway: 'fd00:1::1',
              },
            ],
          ],
          routes: [{ dst: '10.2.0.0/16' }, { dst: '::/0', gw: 'fd00:1::1', mtu: 1300, priority: 5 }],
          dataDir: '/run/x',
          resolvConf: '/etc/resolv.conf',
          exclude: ['10.1.0.12/32', '10.1.0.16/31', 'fd00:1::/120'],
          sticky: true,
          lockTimeoutMs: 0,
        },
      },
    ],
    [
      'keys in any case, of which the last counts, and keys that nobody knows',
      {
        CNIVersion: '1.1.0',
        NAME: 'net',
        Type: 'tsbridge',
        bridge: 'a',
        Bridge: 'b',
        IPAM: { Type: 'host-local', Ranges: [[{ Subnet: '10.1.0.0/16' }]] },
        frob: 1,
      },
      { ...plain, bridge: 'b', ipam: hostLocal },
    ],
    ['keys that only an object of JavaScript has', { ...head, constructor: 1, __proto__x: {}, toString: 5 }, plain],
    [
      'nulls, which leave the defaults',
      {
        ...head,
        bridge: null,
        mtu: null,
        vlanTrunk: null,
        ipam: null,
        dns: null,
        args: null,
        runtimeConfig: null,
        prevResult: null,
        ipMasqBackend: null,
      },
      plain,
    ],
    [
      'empty texts that Go takes for nothing',
      { ...l3, logLevel: '', logFile: '', runtimeConfig: { mac: '' }, ipam: { ...ipam, dataDir: '', resolvConf: '' } },
      { ...plain, ipam: hostLocal },
    ],
    [
      'a rangeStart without subnet, which the Go plugin ignores',
      { ...head, ipam: { ...ipam, rangeStart: 'x' } },
      { ...plain, ipam: hostLocal },
    ],
    ['a MAC from CNI_ARGS', head, { ...plain, mac: '02:00:00:00:00:01' }, { args: 'MAC=02:00:00:00:00:01' }],
    [
      'a MAC from args, which beats CNI_ARGS',
      { ...head, args: { cni: { mac: '02:00:00:00:00:02', labels: [{ key: 'a', value: 'b' }] } } },
      { ...plain, mac: '02:00:00:00:00:02' },
      { args: 'MAC=02:00:00:00:00:01' },
    ],
    [
      'a MAC from runtimeConfig, which beats both, Go-cased, beside what containerd sends',
      {
        ...head,
        capabilities: { mac: true },
        args: { cni: { mac: '02:00:00:00:00:02' } },
        RuntimeConfig: { Mac: '02:00:00:00:00:0A', PortMappings: [{ HostPort: 80 }], DNS: { Servers: ['1.1.1.1'] } },
      },
      { ...plain, mac: '02:00:00:00:00:0a' },
      { args: 'MAC=02:00:00:00:00:01' },
    ],
    [
      'requested addresses, in order and once',
      { ...l3, args: { cni: { ips: ['10.1.0.8/16', '10.1.0.7'] } }, runtimeConfig: { ips: ['10.1.0.9', '10.1.0.8'] } },
      { ...plain, ipam: { ...hostLocal, requestedIps: ['10.1.0.7', '10.1.0.8', '10.1.0.9'] } },
      { args: 'IP=10.1.0.7/24' },
    ],
    [
      'ranges of the runtime, which come first',
      { ...l3, runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }]] } },
      {
        ...plain,
        ipam: {
          ...hostLocal,
          ranges: [
            [{ subnet: '10.9.0.0/24', rangeStart: '10.9.0.1', rangeEnd: '10.9.0.254', gateway: '10.9.0.1' }],
            [parsedRange],
          ],
        },
      },
    ],
    [
      'ranges of the runtime alone',
      { ...head, ipam: { type: 'host-local' }, runtimeConfig: { ipRanges: [[range]] } },
      { ...plain, ipam: hostLocal },
    ],
    [
      'STATUS without ranges, which the runtime gives to an ADD only',
      { ...head, ipam: { type: 'host-local' } },
      { ...plain, ipam: { ...hostLocal, ranges: [] } },
      { command: 'STATUS' },
    ],
    ['a chained ADD', { ...l3, prevResult }, { ...plain, ipam: hostLocal, prevResult: parsedPrevious }],
    [
      'a prevResult without a version, which is the configuration’s',
      { ...l3, cniVersion: '0.4.0', prevResult: { ips: [{ version: '4', address: '10.1.0.5/16' }] } },
      { ...plain, cniVersion: '0.4.0', ipam: hostLocal, prevResult: parsedPrevious },
    ],
    [
      'a prevResult of another version of the same shape',
      { ...l3, cniVersion: '1.0.0', prevResult },
      { ...plain, cniVersion: '1.0.0', ipam: hostLocal, prevResult: parsedPrevious },
      { command: 'CHECK' },
    ],
    ['GC and STATUS, which look at no prevResult', { ...head, prevResult: 5 }, plain, { command: 'STATUS' }],
    ['DEL without a prevResult', l3, { ...plain, ipam: hostLocal }, { command: 'DEL' }],
    [
      'DEL with a prevResult of another shape: what it says is as good',
      { ...l3, prevResult: { cniVersion: '0.2.0', ip4: { ip: '10.1.0.5/16' } } },
      { ...plain, ipam: hostLocal, prevResult: parsedPrevious },
      { command: 'DEL' },
    ],
    [
      'GC with a list',
      { ...head, 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] },
      { ...plain, validAttachments: [{ containerID: 'a', ifname: 'eth0' }] },
      { command: 'GC' },
    ],
    [
      'GC with an empty list',
      { ...head, 'cni.dev/valid-attachments': [] },
      { ...plain, validAttachments: [] },
      { command: 'GC' },
    ],
    ['GC with neither key', head, plain, { command: 'GC' }],
    [
      'GC with nulls',
      { ...head, 'cni.dev/valid-attachments': null, 'cni.dev/attachments': null },
      plain,
      { command: 'GC' },
    ],
    [
      'GC with the older key',
      { ...head, 'cni.dev/valid-attachments': null, 'cni.dev/attachments': [{ ContainerID: 'a', IfName: 'b' }] },
      { ...plain, validAttachments: [{ containerID: 'a', ifname: 'b' }] },
      { command: 'GC' },
    ],
    [
      'GC with both keys, of which the right one counts',
      { ...head, 'cni.dev/attachments': [], 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'b' }] },
      { ...plain, validAttachments: [{ containerID: 'a', ifname: 'b' }] },
      { command: 'GC' },
    ],
    [
      'a VLAN that is in the trunk as well',
      { ...head, vlan: 15, vlanTrunk: [{ minID: 10, maxID: 20 }] },
      { ...plain, vlan: 15, vlanTrunk: [{ minID: 10, maxID: 20 }] },
    ],
    ['an mtu of the least that IPv4 needs', { ...l3, mtu: 68 }, { ...plain, ipam: hostLocal, mtu: 68 }],
    ['a bridge of 15 bytes', { ...head, bridge: 'b23456789012345' }, { ...plain, bridge: 'b23456789012345' }],
    [
      'a bridge and a VLAN of 15 bytes together',
      { ...l3, bridge: 'b2345678901', vlan: 100, isGateway: true },
      { ...plain, ipam: hostLocal, bridge: 'b2345678901', vlan: 100, isGateway: true },
    ],
  ];
  for (const [name, conf, expected, { command, args } = {}] of table) {
    t.test(name, async (t) => t.strictSame(parse(conf, command, args), { role: 'main', conf: expected, warnings: [] }));
  }
});

t.test('the IPAM plugin of another plugin, whose keys are none of ours', async (t) => {
  const conf = {
    ...head,
    type: 'macvlan',
    mtu: 'x',
    vlan: -1,
    bridge: 5,
    logLevel: 'verbose',
    args: { cni: { mac: 5 } },
  };
  const expected = { cniVersion: '1.1.0', name: 'net', type: 'macvlan', statusErrorWhenFull: false, ipam: hostLocal };
  const own = { ...ipam, type: 'tsbridge' };
  t.strictSame(parse({ ...conf, ipam: own }), { role: 'ipam', conf: expected, warnings: [] });
  t.strictSame(
    parse(
      { ...conf, ipam: own, runtimeConfig: { ips: ['10.1.0.9'] }, prevResult },
      'CHECK',
      'IP=10.1.0.8;MAC=02:00:00:00:00:01',
    ),
    {
      role: 'ipam',
      conf: { ...expected, ipam: { ...hostLocal, requestedIps: ['10.1.0.8', '10.1.0.9'] }, prevResult: parsedPrevious },
      warnings: [],
    },
  );
  t.strictSame(parse({ ...conf, ipam: own, 'cni.dev/valid-attachments': [] }, 'GC'), {
    role: 'ipam',
    conf: { ...expected, validAttachments: [] },
    warnings: [],
  });
});

t.test('what does nothing is a warning', async (t) => {
  t.strictSame(parse({ ...head, ipMasq: true, isGateway: true }), {
    role: 'main',
    conf: { ...plain, ipMasq: true, isGateway: true },
    warnings: ['ipMasq: true does nothing without ipam', 'isGateway: true does nothing without ipam'],
  });
});

const bridgeHint =
  'is not an interface name; expected 1 to 15 bytes without "/", ":", "%" and white space, and not ".", "..", "all" or "default"';
const mtuHint = "is not an MTU (68 to 65535, or 0 for the kernel's default)";
const macHint = 'is not a MAC address; expected six bytes like 02:1a:2b:3c:4d:5e';
const nameDetails = (name: string) =>
  `name is ${JSON.stringify(name)}; it must start with a letter or a digit, and go on with those, "_", "." and "-"`;

/** Configurations with one thing wrong: the keys that differ from an L3 network, the message, and the details. */
const wrong: [string, object, string, string?][] = [
  ['no name', { name: undefined }, 'missing network name'],
  ['an empty name', { name: '' }, 'missing network name'],
  [
    'a name that leaves its directory',
    { name: '../etc' },
    'invalid characters found in network name',
    nameDetails('../etc'),
  ],
  ['a name that is no string', { name: 5 }, 'name: expected a string, found the number 5'],
  ['a type that is no string', { type: {} }, 'type: expected a string, found an object'],
  ['a version that is no string', { cniVersion: 1 }, 'cniVersion: expected a string, found the number 1'],
  ['an empty bridge', { bridge: '' }, `bridge: "" ${bridgeHint}`],
  ['a bridge of 16 bytes', { bridge: 'b234567890123456' }, `bridge: "b234567890123456" ${bridgeHint}`],
  ['a bridge with a slash', { bridge: 'a/b' }, `bridge: "a/b" ${bridgeHint}`],
  ['a bridge that the kernel would number', { bridge: 'br%d' }, `bridge: "br%d" ${bridgeHint}`],
  ['a bridge that sysctl has another use for', { bridge: 'all' }, `bridge: "all" ${bridgeHint}`],
  ['a bridge that is no string', { bridge: true }, 'bridge: expected a string, found true'],
  [
    'a boolean in quotes, as in a published example',
    { portIsolation: 'true' },
    'portIsolation: expected true or false, found the string "true"',
  ],
  ['a number for a boolean', { ipMasq: 1 }, 'ipMasq: expected true or false, found the number 1'],
  [
    'an unknown back end',
    { ipMasq: true, ipMasqBackend: 'ipfw' },
    'ipMasqBackend: "ipfw" is not known; expected one of nftables, iptables',
  ],
  [
    'an empty back end, which Go refuses too',
    { ipMasq: true, ipMasqBackend: '' },
    'ipMasqBackend: "" is not known; expected one of nftables, iptables',
  ],
  [
    'a prefix that is none',
    { nonMasqueradeCIDRs: ['10.0.0.0'] },
    'nonMasqueradeCIDRs[0]: "10.0.0.0" is not a prefix; expected one like 10.0.0.0/8',
  ],
  ['a negative mtu', { mtu: -1 }, `mtu: -1 ${mtuHint}`],
  ['an mtu below that of IPv4', { mtu: 67 }, `mtu: 67 ${mtuHint}`],
  ['an mtu beyond the kernel’s', { mtu: 65_536 }, `mtu: 65536 ${mtuHint}`],
  ['an mtu with a fraction', { mtu: 1500.5 }, `mtu: 1500.5 ${mtuHint}`],
  [
    'an mtu in quotes',
    { mtu: '1500' },
    'mtu: expected an MTU (68 to 65535, or 0 for the kernel\'s default), a number, found the string "1500"',
  ],
  ['a VLAN that is none', { vlan: 5000 }, 'vlan: 5000 is not a VLAN id (0 to 4094)'],
  ['a negative VLAN', { vlan: -1 }, 'vlan: -1 is not a VLAN id (0 to 4094)'],
  ['a VLAN in quotes', { vlan: '5' }, 'vlan: expected a VLAN id (0 to 4094), a number, found the string "5"'],
  [
    'a trunk that is no list',
    { vlanTrunk: { id: 1 } },
    'vlanTrunk: expected a list of VLAN ids and ranges, found an object',
  ],
  ['a trunk of a number', { vlanTrunk: [5] }, 'vlanTrunk[0]: expected an object, found the number 5'],
  ['a trunk of VLAN 0', { vlanTrunk: [{ id: 0 }] }, 'vlanTrunk[0].id: 0 is not a VLAN id (1 to 4094)'],
  [
    'a trunk beyond 4094',
    { vlanTrunk: [{ id: 1 }, { minID: 5, maxID: 4095 }] },
    'vlanTrunk[1].maxID: 4095 is not a VLAN id (1 to 4094)',
  ],
  [
    'a trunk without its end',
    { vlanTrunk: [{ minID: 5 }] },
    'vlanTrunk[0]: minID 5 is without a maxID; expected both, or id',
  ],
  [
    'a trunk without its start',
    { vlanTrunk: [{ maxID: 5 }] },
    'vlanTrunk[0]: maxID 5 is without a minID; expected both, or id',
  ],
  ['a trunk backwards', { vlanTrunk: [{ minID: 6, maxID: 5 }] }, 'vlanTrunk[0]: minID 6 is greater than maxID 5'],
  [
    'a gateway interface with too long a name',
    { bridge: 'b23456789012', vlan: 100, isGateway: true },
    "vlan: the gateway's interface b23456789012.100 would have more than 15 bytes; expected a shorter bridge name",
  ],
  [
    'hairpin and promiscuous mode',
    { hairpinMode: true, promiscMode: true },
    'hairpinMode: true together with promiscMode would deliver frames twice; expected one of them at most',
  ],
  [
    'addresses on an interface that stays down',
    { disableContainerInterface: true },
    'disableContainerInterface: true leaves the interface down, and addresses need it up; expected no ipam.type beside it',
  ],
  [
    'an mtu too small for IPv6',
    { mtu: 1279, ipam: { type: 'host-local', ranges: [[{ subnet: 'fd00::/64' }]] } },
    'mtu: 1279 is too small for IPv6, of which ipam has a range; expected 1280 or more',
  ],
  ['a MAC that is none', { runtimeConfig: { mac: 'xx' } }, `runtimeConfig.mac: "xx" ${macHint}`],
  [
    'a MAC in args that is none, though another one beats it',
    { runtimeConfig: { mac: '02:00:00:00:00:01' }, args: { cni: { mac: 'yy' } } },
    `args.cni.mac: "yy" ${macHint}`,
  ],
  [
    'a multicast MAC',
    { runtimeConfig: { mac: '03:00:00:00:00:01' } },
    'runtimeConfig.mac: "03:00:00:00:00:01" is a multicast address; an interface needs a unicast one (even first byte)',
  ],
  [
    'a level that is none',
    { logLevel: 'verbose' },
    'logLevel: "verbose" is not a level; expected one of trace, debug, info, warn, error',
  ],
  ['a file with a NUL in its name', { logFile: 'a\0b' }, 'logFile: "a\\u0000b" contains a NUL character'],
  ['dns that is no object', { dns: [] }, 'dns: expected an object, found a list'],
  [
    'a name server that is no string',
    { dns: { nameservers: [1] } },
    'dns.nameservers[0]: expected a string, found the number 1',
  ],
  ['an ipam that is no object', { ipam: 'host-local' }, 'ipam: expected an object, found the string "host-local"'],
  ['an ipam type that is no string', { ipam: { type: 5 } }, 'ipam.type: expected a string, found the number 5'],
  [
    'an ipam type that is a path',
    { ipam: { type: '../x' } },
    'ipam.type: "../x" is not the name of a plugin; expected a file name without "/"',
  ],
  [
    'an ipam type that is a directory',
    { ipam: { type: '..' } },
    'ipam.type: ".." is not the name of a plugin; expected a file name without "/"',
  ],
  [
    'no ranges',
    { ipam: { type: 'host-local' } },
    'ipam.ranges: missing; expected at least one range, such as [[{"subnet": "10.1.0.0/16"}]]',
  ],
  [
    'a list of ranges instead of range sets',
    { ipam: { type: 'host-local', ranges: [range] } },
    'ipam.ranges[0]: expected a list of ranges, found an object',
  ],
  [
    'a range that is null',
    { ipam: { type: 'host-local', ranges: [[null]] } },
    'ipam.ranges[0][0]: expected an object, found null',
  ],
  [
    'an address outside of its range',
    { ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16', rangeStart: '10.2.0.5' }]] } },
    'ipam.ranges[0][0].rangeStart: 10.2.0.5 is not in 10.1.0.0/16',
  ],
  [
    'a wrong range of the runtime',
    { runtimeConfig: { ipRanges: [[{ subnet: 'x' }]] } },
    "runtimeConfig.ipRanges[0][0].subnet: 'x' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64",
  ],
  [
    'an empty subnet, which Go refuses too',
    { ipam: { type: 'host-local', subnet: '' } },
    'ipam.subnet: missing; it must be a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64',
  ],
  [
    'a route through the other family',
    { ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0', gw: 'fd00::1' }] } },
    'ipam.routes[0]: dst 0.0.0.0/0 is IPv4, but gw fd00::1 is IPv6; both must be of one family',
  ],
  [
    'a route to a host name',
    { ipam: { ...ipam, routes: [{ dst: 'default' }] } },
    'ipam.routes[0].dst: "default" is not a destination; expected a prefix like 10.2.0.0/16 or ::/0',
  ],
  [
    'a gateway that is none',
    { ipam: { ...ipam, routes: [{ dst: '::/0', gw: 'x' }] } },
    'ipam.routes[0].gw: "x" is not an IP address; expected one like 10.1.0.1 or fd00::1',
  ],
  [
    'a negative table',
    { ipam: { ...ipam, routes: [{ dst: '::/0', table: -1 }] } },
    'ipam.routes[0].table: -1 is not a routing table (0 to 4294967295)',
  ],
  [
    'a priority beyond 32 bits',
    { ipam: { ...ipam, routes: [{ dst: '::/0', priority: 2 ** 32 }] } },
    'ipam.routes[0].priority: 4294967296 is not a priority (0 to 4294967295)',
  ],
  [
    'a scope for nowhere',
    { ipam: { ...ipam, routes: [{ dst: '::/0', scope: 255 }] } },
    'ipam.routes[0].scope: 255 is not a scope (0 to 254)',
  ],
  [
    'an exclusion that is none',
    { ipam: { ...ipam, exclude: ['10.1.0.5-10'] } },
    'ipam.exclude[0]: "10.1.0.5-10" is neither an address nor a prefix; expected one like 10.1.0.5 or 10.1.0.0/28',
  ],
  [
    'a directory that is no string',
    { ipam: { ...ipam, dataDir: 5 } },
    'ipam.dataDir: expected a string, found the number 5',
  ],
  [
    'a timeout in words',
    { ipam: { ...ipam, lockTimeoutMs: '5s' } },
    'ipam.lockTimeoutMs: expected a time in milliseconds (0 to 600000), a number, found the string "5s"',
  ],
  ['too little patience', { ipamTimeoutMs: 10 }, 'ipamTimeoutMs: 10 is not a time in milliseconds (1000 to 3600000)'],
  [
    'a requested address that is empty',
    { runtimeConfig: { ips: [''] } },
    'runtimeConfig.ips[0]: "" is not an IP address; expected one like 10.1.0.5 or fd00::5',
  ],
  [
    'a requested address that is none',
    { args: { cni: { ips: ['x'] } } },
    'args.cni.ips[0]: "x" is not an IP address; expected one like 10.1.0.5 or fd00::5',
  ],
  [
    'a prevResult of another shape',
    { prevResult: { cniVersion: '0.4.0' } },
    'prevResult.cniVersion: "0.4.0" has another shape than the configuration\'s 1.1.0; expected 1.1.0',
  ],
  ['a prevResult that is none', { prevResult: [] }, 'prevResult: expected an object, found a list'],
  [
    'several things at once',
    { vlan: 5000, mtu: -1, ipMasq: 'no' },
    'vlan: 5000 is not a VLAN id (0 to 4094)',
    `also mtu: -1 ${mtuHint}; also ipMasq: expected true or false, found the string "no"`,
  ],
  [
    'a very long text, which is shortened',
    { ipMasq: 'x'.repeat(100) },
    `ipMasq: expected true or false, found the string "${'x'.repeat(80)}…"`,
  ],
];

t.test('configurations that are refused, with code 7', async (t) => {
  for (const [name, keys, message, details] of wrong) {
    t.test(name, async (t) => {
      const error = t.throws(() => parse({ ...l3, ...keys }), CniError) as CniError;
      t.strictSame([error.code, error.message, error.details], [7, message, details]);
    });
  }
});

t.test('refusals that depend on the verb or the version', async (t) => {
  const noWords = (version: string) =>
    `cniVersion: ${version} cannot express a result without addresses; expected 0.3.0 or newer, or ipam`;
  const two = { type: 'host-local', ranges: [[range], [{ subnet: '10.2.0.0/16' }]] };
  const table: [string, object, Command, number, string][] = [
    ['CHECK without a prevResult', l3, 'CHECK', 7, 'prevResult: missing; CHECK needs the result of the ADD'],
    ['an L2 network in 0.2.0', { ...head, cniVersion: '0.2.0' }, 'ADD', 7, noWords('0.2.0')],
    ['an L2 network without a version', { name: 'net' }, 'ADD', 7, noWords('0.1.0')],
    [
      'two addresses of a family in 0.2.0',
      { ...l3, cniVersion: '0.2.0', ipam: two },
      'ADD',
      7,
      'cniVersion: 0.2.0 allows one address of each family, and ipam has 2 IPv4 range sets; expected 0.3.0 or newer',
    ],
    [
      'a version that is not spoken, whatever else is wrong',
      { ...l3, cniVersion: '1.2.0', vlan: 5000 },
      'ADD',
      1,
      'incompatible CNI versions',
    ],
    [
      'a bad name, whatever the version',
      { ...l3, cniVersion: '1.2.0', name: '/' },
      'ADD',
      7,
      'invalid characters found in network name',
    ],
    ['CHECK in 0.3.1', { ...l3, cniVersion: '0.3.1' }, 'CHECK', 1, 'config version does not allow CHECK'],
    [
      'GC with a list that cannot be read: it must never be guessed',
      { ...head, 'cni.dev/valid-attachments': [{ containerID: 'a' }] },
      'GC',
      7,
      'cni.dev/valid-attachments[0]: incomplete; expected containerID and ifname',
    ],
    [
      'GC with a list that is none',
      { ...head, 'cni.dev/valid-attachments': {} },
      'GC',
      7,
      'cni.dev/valid-attachments: expected a list of attachments, found an object',
    ],
  ];
  for (const [name, conf, command, code, message] of table) {
    t.test(name, async (t) => {
      const error = t.throws(() => parse(conf, command), CniError) as CniError;
      t.strictSame([error.code, error.message], [code, message]);
    });
  }
});

t.test('what ADD refuses does not stop DEL and GC, but for what they need', async (t) => {
  const needed =
    /^(missing network name|invalid characters|name:|type:|cniVersion: expected|ipam:|ipam\.type:|ipam\.dataDir:)/;
  const harmless = wrong.filter(([, , message]) => !needed.test(message));
  t.equal(harmless.length > 40, true, 'most of the table');
  for (const command of ['DEL', 'GC'] as const) {
    for (const [name, keys, message] of harmless) {
      t.test(`${command}: ${name}`, async (t) => {
        const { role, conf, warnings } = parse({ ...l3, ...keys }, command);
        t.strictSame([role, conf.name, conf.ipam?.type], ['main', 'net', 'host-local']);
        const isUnread = message.startsWith('prevResult') && command === 'GC';
        const isFine = message.startsWith('prevResult.cniVersion') || message.startsWith('ipam.ranges: missing');
        t.equal(warnings.includes(message), !isUnread && !isFine, warnings.join('; '));
      });
    }
    for (const [name, keys, message] of wrong.filter(([, , message]) => needed.test(message))) {
      t.test(`${command} needs it: ${name}`, async (t) => {
        const error = t.throws(() => parse({ ...l3, ...keys }, command), CniError) as CniError;
        t.strictSame([error.code, error.message], [7, message]);
      });
    }
  }
});

t.test('a back end of masquerading that nothing asks for is a warning', async (t) => {
  for (const name of ['ipfw', '']) {
    const { conf, warnings } = parse({ ...l3, ipMasqBackend: name }, 'ADD');
    t.strictSame(conf, { ...plain, ipam: hostLocal });
    t.strictSame(warnings, [
      `ipMasqBackend: "${name}" is not known; expected one of nftables, iptables (it does nothing without ipMasq)`,
    ]);
  }
});

t.test('DEL and GC with a bridge that no interface can be have none, and not the default', async (t) => {
  for (const command of ['DEL', 'GC'] as const) {
    const { conf } = parse({ ...l3, bridge: 'production-bridge-0' }, command);
    t.match(conf, { bridge: '' });
  }
});

t.test('DEL with ranges that cannot be read has none, and goes on', async (t) => {
  const conf = { ...l3, ipam: { ...ipam, ranges: [[{ subnet: 'x' }]], dataDir: '/run/x' } };
  t.strictSame(parse(conf, 'DEL'), {
    role: 'main',
    conf: { ...plain, ipam: { ...hostLocal, ranges: [], dataDir: '/run/x' } },
    warnings: [
      "ipam.ranges[0][0].subnet: 'x' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64",
    ],
  });
});

t.test('what is no JSON object is refused with code 6', async (t) => {
  const table: [string, string | Uint8Array, string][] = [
    ['nothing', '', 'the network configuration is empty; expected a JSON object'],
    ['white space', ' \n', 'the network configuration is empty; expected a JSON object'],
    ['a list', '[]', 'the network configuration is a list; expected a JSON object'],
    ['null', 'null', 'the network configuration is null; expected a JSON object'],
    ['a text', '"x"', 'the network configuration is the string "x"; expected a JSON object'],
    [
      'a comma too many',
      '{\n  "name": "net",\n}',
      'the network configuration is not JSON: Expected double-quoted property name in JSON at position 19 (line 3 column 1)',
    ],
    [
      'half a document',
      '{"name": "net"',
      "the network configuration is not JSON: Expected ',' or '}' after property value in JSON at position 14 (line 1 column 15)",
    ],
  ];
  for (const [name, text, message] of table) {
    t.test(name, async (t) => {
      const error = t.throws(() => parseNetConf(text, requestOf('ADD'), judge), CniError) as CniError;
      t.strictSame([error.code, error.message, error.details], [6, message, undefined]);
    });
  }
  const error = t.throws(
    () => parseNetConf(new Uint8Array([0x7b, 0xff, 0x7d]), requestOf('ADD'), judge),
    CniError,
  ) as CniError;
  t.equal(error.code, 6, 'bytes that are not UTF-8');
  t.match(error.message, /^the network configuration is not JSON: /);
});

t.test('a configuration may be bytes', async (t) => {
  t.strictSame(parseNetConf(Buffer.from(JSON.stringify(head)), requestOf('ADD'), judge), {
    role: 'main',
    conf: plain,
    warnings: [],
  });
});
