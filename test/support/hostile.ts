import fc from 'fast-check';

// What somebody would send who wants to see the plugin fall: texts made by the grammar of what is expected, bent here and there.

const keys = [
  ...['bridge', 'isGateway', 'isDefaultGateway', 'forceAddress', 'ipMasq', 'ipMasqBackend', 'nonMasqueradeCIDRs'],
  ...['mtu', 'hairpinMode', 'promiscMode', 'vlan', 'vlanTrunk', 'preserveDefaultVlan', 'macspoofchk', 'enabledad'],
  ...['portIsolation', 'dns', 'args', 'runtimeConfig', 'prevResult', 'ipam', 'logLevel', 'cniVersion', 'name', 'type'],
  ...['cni.dev/valid-attachments', 'cni.dev/attachments', 'capabilities', 'ipamTimeoutMs', 'disableContainerInterface'],
  ...[
    'snat',
    'masqAll',
    'backend',
    'conditionsV4',
    'markMasqBit',
    'statusErrorWhenFull',
    'cni',
    'ips',
    'mac',
    'ipRanges',
  ],
  ...['portMappings', 'hostPort', 'containerPort', 'protocol', 'hostIP', 'subnet', 'rangeStart', 'rangeEnd', 'gateway'],
  ...['ranges', 'routes', 'dst', 'gw', 'advmss', 'priority', 'table', 'scope', 'dataDir', 'resolvConf', 'exclude'],
  ...['sticky', 'lockTimeoutMs', 'interfaces', 'interface', 'address', 'sandbox', 'ip4', 'ip6', 'ip', 'nameservers'],
  ...['domain', 'search', 'options', 'id', 'minID', 'maxID', 'containerID', 'ifname'],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'length', 'then', '', '0'],
];

/** Texts that mean something to a parser, or nearly. */
const texts = [
  ...['10.1.0.0/16', '10.1.0.5', '10.1.0.5/16', '0.0.0.0/0', '255.255.255.255/32', '10.1.0.0/33', '010.1.0.0/16'],
  ...['fd00::/64', 'fd00::5', '::', '::/0', '::1/128', '::ffff:10.1.0.5', '::ffff:10.1.0.0/112', 'fe80::1%eth0'],
  ...[
    '1::2::3',
    ':',
    '/',
    '/24',
    '10.1.0.0/',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '4294967295',
    '0x7f000001',
    '١.٢.٣.٤',
  ],
  ...[
    '',
    ' ',
    '\0',
    'a\0b',
    '\n',
    '\r\n',
    '\u2028',
    '\u0085',
    '\ufeff',
    '\ud800',
    'a\udc00b',
    '😀',
    '\u202e',
    '\x1b[2J',
  ],
  ...[
    '..',
    '.',
    '../..',
    '../../etc/passwd',
    '/etc/passwd',
    '/dev/zero',
    '/dev/full',
    '/proc/self/mem',
    'a/../../b',
    '~',
  ],
  ...[
    'br0',
    'cni0',
    'eth0',
    'lo',
    'all',
    'default',
    'veth%d',
    '-x',
    '--help',
    'a'.repeat(15),
    'a'.repeat(16),
    'é'.repeat(8),
  ],
  ...['host-local', 'tsbridge', 'dhcp', 'static', 'true', 'false', 'null', 'NaN', '1', '-1', '0', '00:11:22:33:44:55'],
  ...[
    'ff:ff:ff:ff:ff:ff',
    '01:00:5e:00:00:01',
    '0.1.0',
    '0.4.0',
    '1.0.0',
    '1.1.0',
    '9.9.9',
    'trace',
    'tcp',
    'udp',
    'sctp',
  ],
  ...[
    'nftables',
    'iptables',
    '$(reboot)',
    '`reboot`',
    '; reboot',
    '%s%n',
    '{"cniVersion":"1.0.0"}',
    '[',
    '"',
    '\\',
    '\\u0000',
  ],
];

/** Numbers at every edge, as a text of JSON may write them. */
const numbers = [
  ...['0', '-0', '1', '-1', '0.5', '1e0', '1E+2', '1e-7', '1e308', '1e309', '-1e309', '5e-324', '1e-400', '0.1e1'],
  ...[
    '15',
    '16',
    '32',
    '33',
    '64',
    '68',
    '127',
    '128',
    '129',
    '253',
    '254',
    '255',
    '256',
    '1023',
    '1024',
    '1500',
    '4094',
  ],
  ...['4095', '4096', '65535', '65536', '2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295'],
  ...['4294967296', '9007199254740991', '9007199254740992', '9007199254740993', '9223372036854775807'],
  ...[
    '9223372036854775808',
    '18446744073709551615',
    '18446744073709551616',
    `1${'0'.repeat(400)}`,
    `0.${'0'.repeat(400)}1`,
  ],
];

/** A text as JSON may write it: also with escapes that need not be, and lone surrogates. */
const jsonText = (text: string) => JSON.stringify(text);
const string = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...texts).map(jsonText) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).map(jsonText) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u0061"', '"\\/"', '"\t"', '"\\x"'),
  },
);
const number = fc.oneof(fc.constantFrom(...numbers), fc.integer().map(String), fc.double().map(String));
const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...keys) },
  { weight: 1, arbitrary: fc.constantFrom(...keys).map((key) => key.toUpperCase()) },
  { weight: 1, arbitrary: fc.constantFrom(...texts) },
);

/** Any JSON text, valid, with keys that occur twice and values of the wrong kind. */
export const { json } = fc.letrec<{ json: string; list: string; object: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 6, depthIdentifier: 'json' },
    { weight: 5, arbitrary: string },
    { weight: 3, arbitrary: number },
    {
      weight: 2,
      arbitrary: fc.constantFrom('true', 'false', 'null', '{}', '[]', '[[]]', '[{}]', '[null]', '{"":null}'),
    },
    { weight: 3, arbitrary: tie('list') },
    { weight: 5, arbitrary: tie('object') },
  ),
  list: fc.array(tie('json'), { maxLength: 4 }).map((members) => `[${members.join(',')}]`),
  object: fc
    .array(fc.tuple(word, tie('json')), { maxLength: 6 })
    .map((members) => `{${members.map(([key, value]) => `${jsonText(key)}:${value}`).join(',')}}`),
}));

/** What is valid before it is bent. */
const good = [
  '"cniVersion":"1.1.0"',
  '"name":"hostile"',
  '"type":"tsbridge"',
  '"bridge":"hst0"',
  '"ipam":{"type":"host-local","ranges":[[{"subnet":"10.66.0.0/24"}],[{"subnet":"fd00:66::/64"}]]}',
];

/** A text in which a character is removed, repeated, or made another. */
const bent = (text: fc.Arbitrary<string>) =>
  fc
    .tuple(
      text,
      fc.nat(),
      fc.constantFrom('', '{', '}', '[', ']', '"', ',', ':', '\\', '\0', '\ud800', '-', 'e', '.', '\ufeff'),
    )
    .map(([whole, where, put]) => {
      const at = whole.length === 0 ? 0 : where % whole.length;
      return whole.slice(0, at) + put + whole.slice(at + 1);
    });

/** A text of brackets, and what closes them or not. */
const bomb = (depth: number) =>
  fc
    .tuple(fc.integer({ min: 1, max: depth }), fc.constantFrom('[', '{"a":', '[[{"__proto__":'), fc.boolean())
    .map(([levels, open, isClosed]) => {
      const close = [...open]
        .reverse()
        .map((c) => (c === '[' ? ']' : c === '{' ? '}' : ''))
        .join('');
      return open.repeat(levels) + (isClosed ? `1${close.repeat(levels)}` : '');
    });

/**
 * A network configuration: a good one with members added before and after (so the same key may come twice), one of any JSON, one that
 * is no JSON at all; `depth` is how deep the depth bombs in it go.
 */
export function configuration(depth: number): fc.Arbitrary<string> {
  const member = fc.oneof(
    { weight: 20, arbitrary: fc.tuple(word, json).map(([key, value]) => `${jsonText(key)}:${value}`) },
    {
      weight: 8,
      arbitrary: fc
        .array(fc.tuple(word, json), { maxLength: 5 })
        .map(
          (more) =>
            `"ipam":{"type":"host-local","subnet":"10.66.0.0/24"${more.map(([k, v]) => `,${jsonText(k)}:${v}`).join('')}}`,
        ),
    },
    { weight: 1, arbitrary: bomb(depth).map((text) => `"args":${text}`) },
  );
  const bentGood = fc
    .tuple(fc.array(member, { maxLength: 5 }), fc.array(member, { maxLength: 2 }))
    .map(([after, before]) => `{${[...before, ...good, ...after].join(',')}}`);
  return fc.oneof(
    { weight: 12, arbitrary: bentGood },
    { weight: 3, arbitrary: bent(bentGood) },
    { weight: 3, arbitrary: json },
    { weight: 1, arbitrary: bomb(depth) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  );
}

/** CNI_ARGS. */
export const cniArgs = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .array(
        fc.tuple(
          fc.oneof(
            fc.constantFrom('IP', 'MAC', 'IgnoreUnknown', 'K8S_POD_NAME', 'K8S_POD_NAMESPACE', 'ip', '__proto__'),
            fc.constantFrom(...texts),
          ),
          fc.constantFrom('=', '==', '', '=;', ' = '),
          fc.oneof(fc.constantFrom(...texts), fc.string({ unit: 'binary', maxLength: 8 })),
        ),
        { maxLength: 6 },
      )
      .chain((items) =>
        fc.constantFrom(';', ';;', ',').map((separator) => items.map((item) => item.join('')).join(separator)),
      ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
);

const commands = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'add', '', 'FROB', '__proto__', 'ADD '];
const words = fc.oneof(
  fc.constantFrom(...texts),
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

/** The environment of a call; what is left out is undefined. `netns` is what it may name as well. */
export const environment = (...netns: string[]): fc.Arbitrary<Record<string, string | undefined>> =>
  fc.record({
    CNI_COMMAND: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS') },
      fc.constantFrom(...commands),
    ),
    CNI_CONTAINERID: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('pod', 'a'.repeat(64), 'A-b_c.d') }, words),
    CNI_IFNAME: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('eth0', 'net1') }, words),
    CNI_NETNS: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...netns, '') }, words),
    CNI_PATH: fc.oneof(fc.constantFrom('/opt/cni/bin', '', ':', '/dev/zero:/proc/self', '.:..'), words),
    CNI_ARGS: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, cniArgs),
    CNI_NETNS_OVERRIDE: fc.constantFrom(undefined, undefined, '1', 'true', ...texts.slice(0, 3)),
    TSBRIDGE_LOG_LEVEL: fc.oneof(
      { weight: 9, arbitrary: fc.constant(undefined) },
      fc.constantFrom('debug', 'loud', '\n', ''),
    ),
  });

/** A result as a plugin may print it, and what is none. */
export const result: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom('0.2.0', '0.4.0', '1.0.0', '1.1.0', '7'), fc.array(fc.tuple(word, json), { maxLength: 4 }))
      .map(
        ([version, more]) =>
          `{"cniVersion":"${version}","ips":[{"address":"10.66.0.9/24"}]${more.map(([k, v]) => `,${jsonText(k)}:${v}`).join('')}}`,
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.tuple(fc.constantFrom('code', 'msg', 'details', 'cniVersion', '__proto__'), json), { maxLength: 5 })
      .map((members) => `{${members.map(([k, v]) => `${jsonText(k)}:${v}`).join(',')}}`),
  },
  { weight: 1, arbitrary: json },
  { weight: 1, arbitrary: bent(json) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
);

/** What a lease file may hold. */
export const leaseBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc
    .tuple(fc.array(words, { maxLength: 4 }), fc.constantFrom('\r\n', '\n', '\r', '\0', '\n\n'))
    .map(([lines, end]) => new TextEncoder().encode(lines.join(end))),
  fc.constantFrom(0, 1, 80, 4095, 4096, 4097).map((length) => new Uint8Array(length)),
  fc.constantFrom(4096, 4097, 100_000).map((length) => new Uint8Array(length).fill(97)),
);

/** The target of an index entry's link. */
export const entryTarget: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('-', '0123abcd', '0123abcd.1', '0123ABCD', '0123abcd.', '.', '', 'zzzzzzzz', '0123abcd.1.2'),
      fc.constantFrom('t5kq2x', '', '-1', 'zzzzzzzzz', 'zzzzzzzzzz', '0', 'T5KQ2X', 'NaN'),
      fc.array(fc.constantFrom(...texts), { maxLength: 4 }),
      fc.constantFrom('', 'default/web', '/', 'a/b/c', 'A/b', `${'a'.repeat(64)}/b`),
    )
    .map(([made, written, ips, pod]) => [made, written, ...ips, ...(pod === '' ? [] : [pod])].join(',')),
  fc.string({ unit: 'binary' }),
);

/** A resolv.conf. */
export const resolvConf: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc
        .tuple(
          fc.constantFrom(
            'nameserver',
            'search',
            'domain',
            'options',
            'sortlist',
            '#',
            ';',
            '',
            '__proto__',
            'NAMESERVER',
          ),
          fc.array(fc.constantFrom(...texts), { maxLength: 3 }),
          fc.constantFrom(' ', '\t', '  ', '\u00a0', '\v'),
        )
        .map(([keyword, values, blank]) => [keyword, ...values].join(blank)),
      fc.string({ unit: 'binary' }),
    ),
    { maxLength: 8 },
  )
  .chain((lines) => fc.constantFrom('\n', '\r\n', '\r', '\0').map((end) => lines.join(end)));

/** Bytes as a kernel would send them: messages with attributes whose lengths are right, nearly right, or anything. */
export const datagram = (sequence: number): fc.Arbitrary<Uint8Array> => {
  const attribute = fc
    .tuple(fc.nat({ max: 64 }), fc.uint8Array({ maxLength: 24 }), fc.integer({ min: -6, max: 6 }))
    .map(([type, value, off]) => {
      const bytes = new Uint8Array(4 + ((value.length + 3) & ~3));
      const view = new DataView(bytes.buffer);
      view.setUint16(0, Math.max(0, 4 + value.length + (Math.abs(off) > 4 ? off : 0)), true);
      view.setUint16(2, type, true);
      bytes.set(value, 4);
      return bytes;
    });
  const message = fc
    .tuple(
      fc.constantFrom(0, 1, 2, 3, 4, 16, 20, 24, 112, 0xa0f, 0xffff),
      fc.constantFrom(0, 2, 0x10, 0x100, 0x200, 0x302),
      fc.constantFrom(sequence, sequence, sequence + 1, 0, 0xffffffff),
      fc.uint8Array({ minLength: 0, maxLength: 28 }),
      fc.array(attribute, { maxLength: 6 }),
      fc.integer({ min: -30, max: 30 }),
    )
    .map(([type, flags, seq, header, attributes, off]) => {
      const body = Uint8Array.from([...header, ...attributes.flatMap((one) => [...one])]);
      const bytes = new Uint8Array(16 + ((body.length + 3) & ~3));
      const view = new DataView(bytes.buffer);
      view.setUint32(0, Math.max(0, 16 + body.length + (Math.abs(off) > 25 ? off : 0)), true);
      view.setUint16(4, type, true);
      view.setUint16(6, flags, true);
      view.setUint32(8, seq, true);
      bytes.set(body, 16);
      return bytes;
    });
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .array(message, { minLength: 1, maxLength: 4 })
        .map((all) => Uint8Array.from(all.flatMap((one) => [...one]))),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  );
};
