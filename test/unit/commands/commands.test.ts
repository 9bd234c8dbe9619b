import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Call, dispatch } from '../../../src/call.ts';
import { commands } from '../../../src/commands/command-table.ts';
import { attachmentHash } from '../../../src/plan/names.ts';
import { attempt } from '../../support/command.ts';
import { type FakeHostOptions, fakeHost } from '../../support/fake-host.ts';
import { node, source } from '../../support/source-process.ts';

const dir = mkdtempSync(join(tmpdir(), 'tsbridge-cli-'));
t.teardown(() => rmSync(dir, { recursive: true }));

async function run(args: string[], options: FakeHostOptions = {}) {
  const host = fakeHost({ args, ...options });
  const status = await dispatch(host, new Call(host));
  return { status, ...host.written };
}

const versions = '0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0';
const about = `tsbridge 0.1.0: a CNI plugin that connects containers to a bridge and gives them addresses\nCNI protocol versions supported: ${versions}\n`;

t.test('what is said without doing anything', async (t) => {
  const table: [string, string[], { status: number; stdout: string; stderr: string }][] = [
    [
      'nothing',
      [],
      { status: 0, stdout: '', stderr: `${about}Try: CNI_COMMAND=VERSION tsbridge, or tsbridge --help\n` },
    ],
    ['--version', ['--version'], { status: 0, stdout: 'tsbridge 0.1.0\n', stderr: '' }],
    [
      'an unknown command',
      ['frob'],
      { status: 2, stdout: '', stderr: 'tsbridge: unknown command "frob"; tsbridge --help says what there is\n' },
    ],
    [
      'a command with a typing error',
      ['shwo'],
      {
        status: 2,
        stdout: '',
        stderr: 'tsbridge: unknown command "shwo"; did you mean show?; tsbridge --help says what there is\n',
      },
    ],
    [
      'a command that every object has',
      ['toString'],
      { status: 2, stdout: '', stderr: 'tsbridge: unknown command "toString"; tsbridge --help says what there is\n' },
    ],
    [
      'an option without a command',
      ['--json'],
      { status: 2, stdout: '', stderr: 'tsbridge: no command; tsbridge --help says what there is\n' },
    ],
    [
      'an operand too many',
      ['range', 'a', 'b'],
      {
        status: 2,
        stdout: '',
        stderr: 'tsbridge: range takes one operand at most; tsbridge --help says what there is\n',
      },
    ],
    [
      'an option of another command',
      ['range', '--subnet', 'a', 'a'],
      { status: 2, stdout: '', stderr: 'tsbridge: range takes no --subnet; tsbridge --help says what there is\n' },
    ],
  ];
  for (const [name, argv, expected] of table) t.strictSame(await run(argv), expected, name);
  const unknown = await run(['leases', '--frob']);
  t.strictSame([unknown.status, unknown.stdout], [2, '']);
  t.match(unknown.stderr, /^tsbridge: unknown or unexpected option: --frob; /);
});

t.test('--help and help name every command', async (t) => {
  for (const argv of [['--help'], ['-h'], ['help']]) {
    const { status, stdout, stderr } = await run(argv);
    t.strictSame([status, stderr], [0, '']);
    for (const { name } of commands) t.match(stdout, new RegExp(`^  tsbridge ${name}\\b`, 'm'));
  }
});

t.test('range', async (t) => {
  const table: [string, string[]][] = [
    [
      '10.1.0.7/24',
      [
        'subnet          10.1.0.0/24',
        'addresses       256',
        'first           10.1.0.0',
        'last            10.1.0.255',
        'gateway         10.1.0.1',
        'rangeStart      10.1.0.1',
        'rangeEnd        10.1.0.254',
        'for containers  253',
      ],
    ],
    [
      'fd00:1::/126',
      [
        'subnet          fd00:1::/126',
        'addresses       4',
        'first           fd00:1::',
        'last            fd00:1::3',
        'gateway         fd00:1::1',
        'rangeStart      fd00:1::1',
        'rangeEnd        fd00:1::3',
        'for containers  2',
      ],
    ],
  ];
  for (const [prefix, lines] of table) {
    t.strictSame(await run(['range', prefix]), { status: 0, stdout: `${lines.join('\n')}\n`, stderr: '' }, prefix);
  }
  const refused: [string[], string][] = [
    [['range'], 'tsbridge range: no prefix; expected one like 10.1.0.0/16\n'],
    [['range', '10.1.0.0'], 'tsbridge range: "10.1.0.0"; expected one like 10.1.0.0/16\n'],
    [
      ['range', '10.1.0.0/31'],
      'tsbridge range: range.subnet: 10.1.0.0/31 is too small to allocate from; the longest prefix allowed is /30\n',
    ],
  ];
  for (const [argv, stderr] of refused)
    t.strictSame(await run(argv), { status: 1, stdout: '', stderr }, argv.join(' '));
  t.strictSame(
    JSON.parse((await run(['range', '10.1.0.7/24', '--json'])).stdout),
    {
      subnet: '10.1.0.0/24',
      addresses: '256',
      first: '10.1.0.0',
      last: '10.1.0.255',
      gateway: '10.1.0.1',
      rangeStart: '10.1.0.1',
      rangeEnd: '10.1.0.254',
      forContainers: '253',
    },
    '--json',
  );
});

t.test('without a file and with nothing on stdin, the networks of the folder', async (t) => {
  const entry = { type: 'tsbridge', bridge: 'br0', ipam: { type: 'host-local', subnet: '10.1.0.0/24' } };
  const other = { ...entry, ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
  const list = (name: string, ...plugins: object[]) => JSON.stringify({ cniVersion: '1.0.0', name, plugins });
  const root = t.testdir({
    etc: {
      cni: {
        'net.d': {
          '10-pods.conflist': list('pods', { type: 'loopback' }, entry),
          '20-other.conflist': list('other', { type: 'ptp' }),
          '30-more.conf': JSON.stringify({ cniVersion: '1.0.0', name: 'more', ...other, mtuu: 1 }),
          '40-broken.conf': '{',
          'README.md': 'nothing of ours',
        },
      },
    },
    empty: {},
  });
  const dir = `${root}/etc/cni/net.d`;
  for (const [name, argv] of [
    ['--conf-dir', ['check-config', '--json', '--conf-dir', dir]],
    ['--root', ['check-config', '--json', '--root', root]],
    ['both', ['check-config', '--json', '--root', `${root}/`, '--conf-dir', '/etc/cni/net.d']],
  ] satisfies [string, string[]][]) {
    const { status, stdout, stderr } = await run(argv);
    t.strictSame([status, stderr], [1, ''], name);
    t.strictSame(
      JSON.parse(stdout).map(
        ({ file, conf, problems }: { file: string; conf?: { name: string }; problems: { message: string }[] }) => [
          file.slice(file.lastIndexOf('/') + 1),
          conf?.name,
          problems.map(({ message }) => message),
        ],
      ),
      [
        ['10-pods.conflist', 'pods', []],
        ['30-more.conf', 'more', ['not known, and ignored; did you mean mtu?']],
        ['40-broken.conf', undefined, ['not JSON: expected a key in quotation marks, found the end of the file']],
      ],
      name,
    );
  }
  const { stdout, stderr } = await run(['check-config', '--conf-dir', dir]);
  t.match(stdout, /^# pods: .*10-pods\.conflist\n\{/);
  t.match(stderr, /30-more\.conf:\d+:\d+:\s+warning:\s+mtuu: not\s+known/);
  t.strictSame(await run(['status', '--conf-dir', `${root}/empty`]), {
    status: 1,
    stdout: '',
    stderr: `tsbridge status: no network of tsbridge in ${root}/empty\n  name a file, write a configuration to stdin, or name another folder with --conf-dir\n`,
  });
  const terminal = await run(['explain', '--conf-dir', `${root}/nowhere`], { devices: [0] });
  t.match(terminal.stderr, /--conf-dir: there is no folder .*nowhere$/m);
});

t.test('explain refuses a configuration of another plugin', async (t) => {
  const stdin = '{"name":"n","cniVersion":"1.0.0","type":"macvlan","ipam":{"type":"tsbridge","subnet":"10.1.0.0/24"}}';
  t.strictSame(await run(['explain'], { stdin }), {
    status: 1,
    stdout: '',
    stderr:
      'tsbridge explain: type: macvlan is another plugin, which decides what is done\n  of this network tsbridge has only the addresses: see check-config and leases\n',
  });
});

const day = 86_400;

/** A store as both plugins, a person and a crash leave it. Ages are in seconds, and shown in days and hours: the same for an hour. */
function store() {
  const dataDir = join(dir, 'networks');
  const net = join(dataDir, 'net');
  mkdirSync(join(net, '.tsbridge'), { recursive: true });
  mkdirSync(join(dataDir, 'other'));
  const put = (name: string, content: string, age: number) => {
    const path = join(net, name);
    writeFileSync(path, content);
    const at = Date.now() / 1000 - age;
    utimesSync(path, at, at);
    return Math.floor(at);
  };
  const index = (containerID: string, life: string, written: number, ips: string) =>
    symlinkSync(
      `${life},${written.toString(36)},${ips}`,
      join(net, '.tsbridge', attachmentHash({ network: 'net', containerID, ifname: 'eth0' })),
    );
  put('lock', '', 0);
  put('last_reserved_ip.0', '10.1.0.9', 0);
  put('10.1.0.10', 'go-made\r\neth0', 2 * day);
  const written = put('10.1.0.9', 'rebooted\r\neth0', 90_000);
  put('fd00::5', 'rebooted\r\neth0', 90_000);
  index('rebooted', '0badb007.1', written, '10.1.0.9,fd00::5');
  put('10.1.0.50', 'printer\n', 3 * day);
  put('10.1.0.51', '', 3 * day);
  return dataDir;
}

t.test('leases', async (t) => {
  const dataDir = store();
  const rows = [
    'NETWORK  ADDRESS    CONTAINER  INTERFACE  AGE      STATE',
    'net      10.1.0.9   rebooted   eth0       1 d 1 h  dead, from an earlier boot',
    'net      10.1.0.10  go-made    eth0       2 d      not known',
    'net      10.1.0.50  printer    -          3 d      reserved',
    'net      10.1.0.51  -          -          3 d      empty',
    'net      fd00::5    rebooted   eth0       1 d 1 h  dead, from an earlier boot',
  ];
  const cli = (...words: string[]) => {
    const { status, stdout, stderr } = attempt([...node, source('src/main.ts'), 'leases', ...words], {
      env: {},
    });
    return { status, stdout, stderr };
  };
  t.strictSame(cli('--data-dir', dataDir), { status: 0, stdout: `${rows.join('\n')}\n`, stderr: '' });
  t.strictSame(cli('--data-dir', dataDir, 'net').stdout, `${rows.join('\n')}\n`, 'one network');
  t.strictSame(cli('--data-dir', dataDir, 'other').stdout, 'no leases\n', 'an empty network');
  t.strictSame(cli('--data-dir', join(dir, 'nowhere')), { status: 0, stdout: 'no leases\n', stderr: '' }, 'no store');
  t.equal(
    cli('--data-dir', dataDir, '--subnet', '10.1.0.0/28').stdout,
    'NETWORK  ADDRESS    CONTAINER  INTERFACE  AGE      STATE\n' +
      'net      10.1.0.9   rebooted   eth0       1 d 1 h  dead, from an earlier boot\n' +
      'net      10.1.0.10  go-made    eth0       2 d      not known\n' +
      '2 of 13 addresses for containers in 10.1.0.0/28 taken, 11 free\n',
    'a subnet',
  );
  const json = JSON.parse(cli('--data-dir', dataDir, '--json', '--subnet', 'fd00::/64').stdout);
  t.strictSame(
    json.map(({ ageSeconds, ...rest }: { ageSeconds: number }) => ({
      ...rest,
      isOld: ageSeconds >= 90_000 && ageSeconds < 93_600,
    })),
    [
      {
        network: 'net',
        address: 'fd00::5',
        pod: '',
        container: 'rebooted',
        interface: 'eth0',
        state: 'dead',
        why: 'from an earlier boot',
        isOld: true,
      },
    ],
    'as JSON',
  );
  t.equal(
    cli('--data-dir', dataDir, '--dry-run').stdout,
    [rows[0], rows[1], rows[5]].map((row) => `${row?.replace(/ (CONTAINER|rebooted)/, '$1')}\n`).join('') +
      '2 leases would be removed\n',
    '--dry-run',
  );
  const refused: [string[], string][] = [
    [['nope'], 'tsbridge leases: no network nope in DIR\n  there are net, other\n'],
    [['../x'], 'tsbridge leases: "../x" is not the name of a network\n'],
    [
      ['--subnet', '10.1.0.0'],
      'tsbridge leases: --subnet: "10.1.0.0" is not a prefix; expected one like 10.1.0.0/16\n',
    ],
  ];
  for (const [words, expected] of refused) {
    const { status, stdout, stderr } = cli('--data-dir', dataDir, ...words);
    t.strictSame([status, stdout, stderr.replaceAll(dataDir, 'DIR')], [1, '', expected], `${words.join(' ')}`);
  }
});

t.test('explain: the operations of an ADD in the words of ip, and nothing changed', async (t) => {
  const conf = {
    cniVersion: '1.0.0',
    name: 'net',
    plugins: [
      {
        type: 'tsbridge',
        bridge: 'tsbx-explain',
        isGateway: true,
        ipam: { type: 'host-local', subnet: '10.1.0.0/16' },
      },
    ],
  };
  const call = () => attempt([...node, source('src/main.ts'), 'explain'], { env: {}, stdin: JSON.stringify(conf) });
  const { status, stdout, stderr } = call();
  t.strictSame([status, stderr], [0, '']);
  const lines = stdout.trimEnd().split('\n');
  t.match(lines[0], /^# A lease for 10\.1\.0\.2\/16 is written to the store first/);
  t.match(stdout, /^ip link add tsbx-explain address ([0-9a-f]{2}:){5}[0-9a-f]{2} type bridge$/m);
  t.ok(lines.includes('ip addr add 10.1.0.1/16 brd + dev tsbx-explain'), 'the gateway');
  t.ok(lines.includes('ip -n example addr add 10.1.0.2/16 brd + dev eth0'), 'the address');
  t.strictSame(
    lines.filter((line) => line.length > 80),
    [],
    'in 80 columns',
  );
  t.equal(call().stdout, stdout, 'the bridge is still to be made');
});
