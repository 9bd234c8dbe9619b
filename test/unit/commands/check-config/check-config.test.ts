import { join } from 'node:path';
import t from 'tap';
import { Call, dispatch } from '../../../../src/call.ts';
import { type FakeHostOptions, fakeHost } from '../../../support/fake-host.ts';

async function run(args: string[], options: FakeHostOptions = {}) {
  const host = fakeHost({ args: ['check-config', ...args], ...options });
  const status = await dispatch(host, new Call(host));
  return { status, ...host.written };
}

interface Problem {
  severity: string;
  line: number;
  column: number;
  path: string;
  message: string;
}

/** What is said of a text: `line:column severity path: message`. */
async function said(file: string, ...more: string[]): Promise<string[]> {
  const { stdout } = await run([file, '--json', '--root', join(file, '..'), ...more]);
  return JSON.parse(stdout).flatMap(({ problems }: { problems: Problem[] }) =>
    problems.map(({ severity, line, column, path, message }) => `${line}:${column} ${severity} ${path}: ${message}`),
  );
}

const ipam = { type: 'host-local', subnet: '10.1.0.0/24' };
const conf = { cniVersion: '1.0.0', name: 'net', type: 'tsbridge', bridge: 'br0', ipam };

t.test('what is right is printed with its defaults, from a file, stdin or a list', async (t) => {
  const list = {
    cniVersion: '1.0.0',
    name: 'net',
    plugins: [{ type: 'loopback' }, { type: 'tsbridge', bridge: 'br0', ipam }],
  };
  const dir = t.testdir({ 'a.conf': JSON.stringify(conf), 'b.conflist': JSON.stringify(list) });
  const outcomes = [
    await run([], { stdin: JSON.stringify(conf) }),
    await run([join(dir, 'a.conf')]),
    await run([join(dir, 'b.conflist')]),
  ];
  for (const { status, stdout, stderr } of outcomes) {
    t.strictSame([status, stderr], [0, '']);
    const { cniVersion, name, type, bridge, mtu } = JSON.parse(stdout);
    t.strictSame([cniVersion, name, type, bridge, mtu], ['1.0.0', 'net', 'tsbridge', 'br0', 0]);
  }
  const several = await run([join(dir, 'a.conf'), join(dir, 'b.conflist')]);
  t.match(several.stdout, /^# net: .*a\.conf\n\{[\s\S]*\n# net: .*b\.conflist\n\{/);
  const delegated = {
    name: 'net',
    cniVersion: '1.0.0',
    plugins: [{ type: 'macvlan', ipam: { ...ipam, type: 'tsbridge' } }],
  };
  const { stdout } = await run([], { stdin: JSON.stringify(delegated) });
  t.strictSame([JSON.parse(stdout).type, JSON.parse(stdout).ipam.ranges[0][0].subnet], ['macvlan', '10.1.0.0/24']);
});

t.test('everything that is wrong, at once and with its place', async (t) => {
  const dir = t.testdir({
    'a.conflist': `{
  "name": "net 1", "disableGc": true, "disableChek": true,
  "plugins": [
    {
      "type": "tsbridge",
      "brigde": "br0",
      "vlan": 5000,
      "capabilities": { "portMapping": true, "ips": "yes" },
      "ipam": {
        "type": "host-local", "Subnet": "10.1.0.1/24",
        "ranges": [[{ "subnet": "10.2.0.0/33" }, { "subnet": "10.3.0.0/24", "gatway": "10.3.0.9" }]],
        "routes": [{ "dst": "nowhere", "via": "10.1.0.1" }]
      }
    },
    { "type": "portmap" },
    {}
  ]
}`,
  });
  t.strictSame(await said(join(dir, 'a.conflist')), [
    '1:1 warning cniVersion: missing: it counts as 0.1.0, whose results have no interfaces, and one address of each family',
    '2:3 error name: invalid characters found in network name',
    '2:39 warning disableChek: not known, and ignored; did you mean disableCheck?',
    '6:7 warning plugins[0].brigde: not known, and ignored; did you mean bridge?',
    '7:7 error plugins[0].vlan: 5000 is not a VLAN id (0 to 4094)',
    '8:25 warning plugins[0].capabilities.portMapping: no runtime passes it; did you mean portMappings?',
    '8:46 error plugins[0].capabilities.ips: expected true or false, found the string "yes"',
    '10:31 error plugins[0].ipam.subnet: 10.1.0.1/24 has host bits set; with a prefix length of 24 the network address is 10.1.0.0',
    `11:23 error plugins[0].ipam.ranges[0][0].subnet: '10.2.0.0/33' is not a network address and prefix length, such as 10.1.0.0/16 or fd00:1::/64`,
    '11:77 warning plugins[0].ipam.ranges[0][1].gatway: not known, and ignored; did you mean gateway?',
    '12:22 error plugins[0].ipam.routes[0].dst: "nowhere" is not a destination; expected a prefix like 10.2.0.0/16 or ::/0',
    '12:40 warning plugins[0].ipam.routes[0].via: not known, and ignored',
    '15:5 warning plugins[1].capabilities: without portMappings, portmap is told nothing, and does nothing',
    '16:5 error plugins[2].type: missing; expected the name of a plugin',
  ]);
  const { status, stdout, stderr } = await run([join(dir, 'a.conflist')]);
  t.strictSame([status, stdout], [1, '']);
  t.match(stderr, /a\.conflist:7:7:\s+error:/);
});

t.test('one thing that is wrong', async (t) => {
  for (const [name, file, text, expected] of [
    [
      'no JSON',
      'a.conf',
      '{\n"a": 1,\n}',
      ['3:1 error : not JSON: expected a key in quotation marks, found "}"; is there a "," too much before it?'],
    ],
    ['empty', 'a.conf', ' \n', ['1:1 error : the network configuration is empty; expected a JSON object']],
    [
      'a list of something',
      'a.conf',
      '[]',
      ['1:1 error : the network configuration is a list; expected a JSON object'],
    ],
    [
      'others',
      'a.conflist',
      '{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"ptp"}]}',
      ['1:34 error plugins: none is of type tsbridge, or has ipam of type tsbridge'],
    ],
    [
      'another',
      'a.conf',
      '{"name":"n","cniVersion":"1.0.0","type":"ptp"}',
      ['1:34 error type: none is of type tsbridge, or has ipam of type tsbridge'],
    ],
    [
      'a list that is called .conf',
      'a.conf',
      '{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"tsbridge"}]}',
      ['1:34 error plugins: a list in a file that is not called .conflist: runtimes take it for a single plugin'],
    ],
    [
      'no list that is called .conflist',
      'a.conflist',
      '{"name":"n","cniVersion":"1.0.0","type":"tsbridge"}',
      ['1:1 error : no plugins; expected a list of them in a file that is called .conflist'],
    ],
    [
      'a version',
      'a.conf',
      '{"name":"n","cniVersion":"2.0","type":"tsbridge"}',
      ['1:13 error cniVersion: incompatible CNI versions'],
    ],
    [
      'a key twice',
      'a.conf',
      '{"name":"n","cniVersion":"1.0.0","type":"tsbridge","mtu":1400,\n"MTU":1500}',
      ['2:1 warning MTU: is there more than once: the last one counts'],
    ],
    [
      'ports twice',
      'a.conflist',
      '{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"tsbridge","capabilities":{"portMappings":true}},\n{"type":"portmap","capabilities":{"portMappings":true}}]}',
      ['2:35 warning plugins[1].capabilities.portMappings: plugins[0] has it as well: each of them maps the ports'],
    ],
    [
      'another gateway',
      'a.conf',
      '{"name":"n","cniVersion":"1.0.0","type":"tsbridge",\n"ipam":{"type":"host-local","subnet":"10.1.0.0/24","gateway":"10.2.0.1"}}',
      [
        '2:1 warning ipam: the gateway 10.2.0.1 is outside of its subnet 10.1.0.0/24: pods reach it only by a route of its own',
      ],
    ],
    [
      'no hairpin',
      'a.conf',
      '{"name":"n","cniVersion":"1.0.0","type":"tsbridge","capabilities":{"portMappings":true},"isGateway":true,"ipam":{"type":"host-local","subnet":"10.1.0.0/24"}}',
      [
        '1:1 warning hairpinMode: false: a pod does not reach itself through a service or a port of the host where the node filters bridged packets (br_netfilter)',
      ],
    ],
  ] as const) {
    await t.test(name, async (t) => {
      const dir = t.testdir({ [file]: text });
      t.strictSame(await said(join(dir, file)), expected);
      const isWarning = expected.every((line) => line.includes(' warning '));
      t.equal((await run([join(dir, file), '--root', dir])).status, isWarning ? 0 : 1);
      t.equal((await run([join(dir, file), '--root', dir, '--strict'])).status, 1, '--strict');
    });
  }
});

t.test('other networks of the node', async (t) => {
  const other = (name: string, bridge: string, ranges: object[]) =>
    JSON.stringify({ ...conf, name, bridge, ipam: { type: 'host-local', ranges: [ranges] } });
  const dir = t.testdir({
    etc: {
      crio: {},
      cni: {
        'net.d': {
          '1.conf': other('one', 'br1', [{ subnet: '10.1.0.0/24', rangeStart: '10.1.0.200' }]),
          '2.conf': other('two', 'br0', [{ subnet: '10.1.0.0/24', rangeEnd: '10.1.0.9' }]),
          '3.conf': other('three', 'br3', [{ subnet: '10.9.0.0/24' }]),
        },
      },
    },
    'a.conf': JSON.stringify({
      ...conf,
      capabilities: { portMappings: true, mac: true },
      ipam: { ...ipam, rangeStart: '10.1.0.5', rangeEnd: '10.1.0.100' },
    }),
  });
  t.strictSame(
    (await said(join(dir, 'a.conf'), '--root', dir)).map((line) => line.replaceAll(dir, '')),
    [
      '1:69 warning ipam: 10.1.0.0/24 overlaps with 10.1.0.0/24 of one (/etc/cni/net.d/1.conf), which has another bridge: the node reaches only one of them',
      '1:69 warning ipam: 10.1.0.5-10.1.0.100 overlaps with 10.1.0.1-10.1.0.9 of two (/etc/cni/net.d/2.conf): two pods may get one address',
      '1:205 warning capabilities.mac: CRI-O does not pass it, so it is as good as absent',
    ],
  );
});

t.test('a file that is not there', async (t) => {
  const missing = await run([join(t.testdir({}), 'nowhere')]);
  t.strictSame([missing.status, missing.stdout], [1, '']);
  t.match(
    missing.stderr,
    /^tsbridge check-config: cannot read the network configuration: cannot open .*nowhere: ENOENT/,
  );
});
