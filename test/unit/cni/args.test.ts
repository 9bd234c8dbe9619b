import t from 'tap';
import { parseArgs, parseRequestedIp } from '../../../src/cni/args.ts';
import { CniError } from '../../../src/cni/error.ts';

t.test('CNI_ARGS that are understood', async (t) => {
  const table: [string, string, object][] = [
    ['nothing', '', {}],
    ['nothing but semicolons', ';;', {}],
    ['an address', 'IP=10.1.2.3', { ip: '10.1.2.3' }],
    ['an address with a prefix length, which the range has', 'IP=10.1.2.3/24', { ip: '10.1.2.3' }],
    ['an IPv6 address in long form', 'IP=FD00:0:0::5', { ip: 'fd00::5' }],
    [
      'an address and a MAC together',
      'IP=10.1.2.3;MAC=02:AA:BB:CC:DD:EE',
      { ip: '10.1.2.3', mac: '02:aa:bb:cc:dd:ee' },
    ],
    ['a MAC with hyphens', 'MAC=02-aa-bb-cc-dd-ee', { mac: '02:aa:bb:cc:dd:ee' }],
    ['a MAC with dots', 'MAC=02aa.bbcc.ddee', { mac: '02:aa:bb:cc:dd:ee' }],
    ['empty values, as good as absent', 'IP=;MAC=', {}],
    ['a semicolon at the end', 'IP=10.1.2.3;', { ip: '10.1.2.3' }],
    ['a key that is repeated with its value', 'IP=10.1.2.3;IP=10.1.2.3', { ip: '10.1.2.3' }],
    [
      'the last of what Kubernetes repeats',
      'K8S_POD_NAMESPACE=a;K8S_POD_NAMESPACE=b;K8S_POD_NAME=c',
      { pod: { namespace: 'b', name: 'c' } },
    ],
    ['unknown keys when they are to be ignored', 'FOO=1;IgnoreUnknown=1;BAR=a=b', {}],
    ['unknown keys, said otherwise', 'FOO=1;IgnoreUnknown=true', {}],
    ['unknown keys, said as Go does', 'FOO=1;IgnoreUnknown=True', {}],
    ['unknown keys, said in capitals', 'FOO=1;IgnoreUnknown=TRUE', {}],
    ['unknown keys, said in short', 'FOO=1;IgnoreUnknown=t', {}],
    ['no unknown keys, and none to be ignored', 'IgnoreUnknown=FALSE;IP=10.1.2.3', { ip: '10.1.2.3' }],
    [
      'what the kubelet sends, in any order',
      'K8S_POD_UID=1-2;K8S_POD_NAMESPACE=ns;IgnoreUnknown=1;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc',
      { pod: { namespace: 'ns', name: 'web-0' } },
    ],
    [
      'keys of Kubernetes alone',
      'K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0',
      { pod: { namespace: 'ns', name: 'web-0' } },
    ],
    ['a pod without a name', 'K8S_POD_NAMESPACE=ns', {}],
  ];
  for (const [name, text, expected] of table) t.test(name, async (t) => t.strictSame(parseArgs(text), expected));
});

t.test('CNI_ARGS that are refused, with code 4', async (t) => {
  const known = 'known are IP, MAC, IgnoreUnknown and K8S_* (IgnoreUnknown=1 lets the others through)';
  const table: [string, string, string][] = [
    ['no pair', 'IP', 'CNI_ARGS: "IP" is not a pair; expected KEY=value items between semicolons'],
    ['no key', '=x', 'CNI_ARGS: "=x" is not a pair; expected KEY=value items between semicolons'],
    [
      'no pair, even when unknown keys are ignored',
      'IgnoreUnknown=1;x',
      'CNI_ARGS: "x" is not a pair; expected KEY=value items between semicolons',
    ],
    ['an unknown key', 'FOO=1', `CNI_ARGS: FOO is unknown; ${known}`],
    ['a known key in lower case', 'ip=10.1.2.3', `CNI_ARGS: ip is unknown; ${known}`],
    ['unknown keys', 'FOO=1;BAR=2;IgnoreUnknown=0', `CNI_ARGS: FOO, BAR are unknown; ${known}`],
    [
      'a boolean that Go does not read either',
      'IgnoreUnknown=yes',
      'CNI_ARGS: IgnoreUnknown: "yes" is not a boolean; expected 1, true, 0 or false',
    ],
    [
      'two addresses',
      'IP=10.1.2.3;IP=10.1.2.4',
      'CNI_ARGS: IP has two values, "10.1.2.3" and "10.1.2.4"; expected one',
    ],
    [
      'two MACs, even when unknown keys are ignored',
      'IgnoreUnknown=1;MAC=02:00:00:00:00:01;MAC=02:00:00:00:00:02',
      'CNI_ARGS: MAC has two values, "02:00:00:00:00:01" and "02:00:00:00:00:02"; expected one',
    ],
    ['no address', 'IP=10.1.2', 'CNI_ARGS: IP: "10.1.2" is not an IP address; expected one like 10.1.0.5 or fd00::5'],
    [
      'a prefix length too long',
      'IP=10.1.2.3/33',
      'CNI_ARGS: IP: "10.1.2.3/33" is not an IP address; expected one like 10.1.0.5 or fd00::5',
    ],
    ['no MAC', 'MAC=xx', 'CNI_ARGS: MAC: "xx" is not a MAC address; expected six bytes like 02:1a:2b:3c:4d:5e'],
    [
      'an InfiniBand address',
      'MAC=02:00:00:00:00:00:00:01',
      'CNI_ARGS: MAC: "02:00:00:00:00:00:00:01" is not a MAC address; expected six bytes like 02:1a:2b:3c:4d:5e',
    ],
    [
      'separators of two kinds',
      'MAC=02:aa-bb:cc:dd:ee',
      'CNI_ARGS: MAC: "02:aa-bb:cc:dd:ee" is not a MAC address; expected six bytes like 02:1a:2b:3c:4d:5e',
    ],
    [
      'a multicast MAC',
      'MAC=01:00:5e:00:00:01',
      'CNI_ARGS: MAC: "01:00:5e:00:00:01" is a multicast address; an interface needs a unicast one (even first byte)',
    ],
    [
      'the broadcast MAC',
      'MAC=ff:ff:ff:ff:ff:ff',
      'CNI_ARGS: MAC: "ff:ff:ff:ff:ff:ff" is a multicast address; an interface needs a unicast one (even first byte)',
    ],
    [
      'the zero MAC',
      'MAC=00:00:00:00:00:00',
      'CNI_ARGS: MAC: "00:00:00:00:00:00" is all zero; an interface needs an address of its own',
    ],
  ];
  for (const [name, text, message] of table) {
    t.test(name, async (t) => {
      const error = t.throws(() => parseArgs(text), CniError) as CniError;
      t.strictSame([error.code, error.message, error.details], [4, message, undefined]);
    });
  }
});

t.test('a requested address is canonical and without a prefix length', async (t) => {
  const table: [string, string | undefined][] = [
    ['10.1.2.3', '10.1.2.3'],
    ['10.1.2.3/0', '10.1.2.3'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['FD00::0005/128', 'fd00::5'],
    ['', undefined],
    ['/24', undefined],
    ['10.1.2.3/', undefined],
    ['10.1.2.3/-1', undefined],
    ['10.01.2.3', undefined],
    ['fd00::5/129', undefined],
    ['fd00::5%eth0', undefined],
  ];
  for (const [text, expected] of table) t.equal(parseRequestedIp(text), expected, JSON.stringify(text));
});
