import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { parseRequest } from '../../../src/cni/request.ts';

const whole = {
  CNI_CONTAINERID: 'pod-1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

const request = {
  containerID: 'pod-1',
  netns: '/run/netns/x',
  ifname: 'eth0',
  args: {},
  path: '/opt/cni/bin',
  allowOwnNetns: false,
  warnings: [],
};

t.test('requests that are understood', async (t) => {
  const nothing = { containerID: '', netns: '', ifname: '' };
  const table: [string, Record<string, string>, object][] = [
    ['ADD with all that it needs', { CNI_COMMAND: 'ADD', ...whole }, { command: 'ADD', ...request }],
    [
      'DEL without a namespace and without a path',
      { CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'a', CNI_IFNAME: 'b' },
      { command: 'DEL', ...request, containerID: 'a', netns: '', ifname: 'b', path: '' },
    ],
    [
      'ADD without CNI_PATH, which only a delegate needs',
      { CNI_COMMAND: 'ADD', ...whole, CNI_PATH: '' },
      { command: 'ADD', ...request, path: '' },
    ],
    [
      'VERSION with the dummies of libcni',
      { CNI_COMMAND: 'VERSION', CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_PATH: 'dummy' },
      { command: 'VERSION', ...request, ...nothing, path: 'dummy' },
    ],
    [
      'STATUS, which has no attachment, whatever its variables hold',
      { CNI_COMMAND: 'STATUS', ...whole, CNI_CONTAINERID: '../x', CNI_ARGS: 'nonsense' },
      { command: 'STATUS', ...request, ...nothing },
    ],
    ['GC', { CNI_COMMAND: 'GC', CNI_PATH: '/x' }, { command: 'GC', ...request, ...nothing, path: '/x' }],
    [
      'an override of the namespace check, in any case',
      { CNI_COMMAND: 'ADD', ...whole, CNI_NETNS_OVERRIDE: 'TRUE' },
      { command: 'ADD', ...request, allowOwnNetns: true },
    ],
    [
      'an override that is none',
      { CNI_COMMAND: 'ADD', ...whole, CNI_NETNS_OVERRIDE: 'yes' },
      { command: 'ADD', ...request, allowOwnNetns: false },
    ],
    [
      'DEL with CNI_ARGS that ADD would refuse',
      { CNI_COMMAND: 'DEL', ...whole, CNI_ARGS: 'IP=nonsense' },
      {
        command: 'DEL',
        ...request,
        warnings: ['CNI_ARGS: IP: "nonsense" is not an IP address; expected one like 10.1.0.5 or fd00::5'],
      },
    ],
    [
      'an interface name of 15 bytes',
      { CNI_COMMAND: 'ADD', ...whole, CNI_IFNAME: 'a23456789012345' },
      { command: 'ADD', ...request, ifname: 'a23456789012345' },
    ],
  ];
  for (const [name, env, expected] of table) t.test(name, async (t) => t.strictSame(parseRequest(env), expected));
});

t.test('requests that are refused, with code 4', async (t) => {
  const add = { CNI_COMMAND: 'ADD', ...whole };
  const idDetails = (id: string) =>
    `CNI_CONTAINERID is ${JSON.stringify(id)}; it must start with a letter or a digit, and go on with those, "_", "." and "-"`;
  const nameDetails = (name: string) => `CNI_IFNAME is ${JSON.stringify(name)}; interface names have 1 to 15 bytes`;
  const forbidden = 'interface name contains / or : or whitespace characters';
  const table: [string, Record<string, string>, string, string?][] = [
    ['no command', {}, 'required env variables [CNI_COMMAND] missing'],
    ['no command among others', whole, 'required env variables [CNI_COMMAND] missing'],
    [
      'an unknown command',
      { CNI_COMMAND: 'NOPE' },
      'unknown CNI_COMMAND: NOPE',
      'expected one of ADD, DEL, CHECK, GC, STATUS, VERSION',
    ],
    [
      'a command that every object has',
      { CNI_COMMAND: 'toString' },
      'unknown CNI_COMMAND: toString',
      'expected one of ADD, DEL, CHECK, GC, STATUS, VERSION',
    ],
    [
      'ADD with nothing',
      { CNI_COMMAND: 'ADD' },
      'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
    ],
    [
      'DEL with nothing',
      { CNI_COMMAND: 'DEL' },
      'required env variables [CNI_CONTAINERID,CNI_IFNAME,CNI_PATH] missing',
    ],
    ['an empty variable', { ...add, CNI_NETNS: '' }, 'required env variables [CNI_NETNS] missing'],
    [
      'CHECK without a namespace',
      { ...add, CNI_COMMAND: 'CHECK', CNI_NETNS: '' },
      'required env variables [CNI_NETNS] missing',
    ],
    ['GC without CNI_PATH, which the SPEC demands', { CNI_COMMAND: 'GC' }, 'required env variables [CNI_PATH] missing'],
    [
      'a containerID that leaves its directory',
      { ...add, CNI_CONTAINERID: '../x' },
      'invalid characters in containerID',
      idDetails('../x'),
    ],
    [
      'a containerID that starts with a dot',
      { ...add, CNI_CONTAINERID: '.x' },
      'invalid characters in containerID',
      idDetails('.x'),
    ],
    [
      'a containerID with a line feed at its end',
      { ...add, CNI_CONTAINERID: 'x\n' },
      'invalid characters in containerID',
      idDetails('x\n'),
    ],
    [
      'an interface name of 16 bytes',
      { ...add, CNI_IFNAME: 'a234567890123456' },
      'interface name is too long',
      nameDetails('a234567890123456'),
    ],
    [
      'an interface name of 8 characters and 16 bytes',
      { ...add, CNI_IFNAME: 'éééééééé' },
      'interface name is too long',
      nameDetails('éééééééé'),
    ],
    ['.', { ...add, CNI_IFNAME: '.' }, 'interface name is . or ..', nameDetails('.')],
    ['..', { ...add, CNI_IFNAME: '..' }, 'interface name is . or ..', nameDetails('..')],
    ['a slash', { ...add, CNI_IFNAME: 'a/b' }, forbidden, nameDetails('a/b')],
    ['a colon', { ...add, CNI_IFNAME: 'a:b' }, forbidden, nameDetails('a:b')],
    ['a no-break space', { ...add, CNI_IFNAME: 'a\u00a0b' }, forbidden, nameDetails('a\u00a0b')],
    ['a next-line character', { ...add, CNI_IFNAME: 'a\u0085b' }, forbidden, nameDetails('a\u0085b')],
    [
      'a name that the kernel would number',
      { ...add, CNI_IFNAME: 'eth%d' },
      'interface name contains %',
      nameDetails('eth%d'),
    ],
    [
      'an ID error wins over a name error',
      { ...add, CNI_CONTAINERID: '/', CNI_IFNAME: '/' },
      'invalid characters in containerID',
      idDetails('/'),
    ],
  ];
  for (const [name, env, message, details] of table) {
    t.test(name, async (t) => {
      const error = t.throws(() => parseRequest(env), CniError) as CniError;
      t.strictSame([error.code, error.message, error.details], [4, message, details]);
    });
  }
});
