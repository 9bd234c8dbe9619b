import t from 'tap';
import { unknownKeys } from '../../../src/commands/unknown-keys.ts';

for (const [title, json, expected] of [
  [
    'typing errors are named with what they look like',
    { brigde: 'cni0', ipMask: true, ipam: { type: 'host-local', subet: '10.1.0.0/16' } },
    [
      'brigde: not known, and ignored; did you mean bridge?',
      'ipMask: not known, and ignored; did you mean ipMasq?',
      'ipam.subet: not known, and ignored; did you mean subnet?',
    ],
  ],
  [
    'ipam without a type gives no addresses',
    { ipam: { subnet: '10.1.0.0/16' } },
    ['ipam: has no type, and so is ignored: pods are given no addresses; expected "host-local"'],
  ],
  ['and an empty one is meant so', { ipam: {} }, []],
  [
    'a key that looks like none is named alone',
    { comment: 'x', ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16', start: '10.1.0.5' }]] } },
    ['comment: not known, and ignored', 'ipam.ranges[0][0].start: not known, and ignored'],
  ],
  [
    'keys in another case, of the conventions, and of other IPAM plugins are no typing errors',
    {
      CNIVersion: '1.0.0',
      Bridge: 'cni0',
      capabilities: {},
      runtimeConfig: {},
      ipam: { type: 'dhcp', daemonSocketPath: '/x' },
    },
    [],
  ],
] as const) {
  t.test(title, async (t) => t.same(unknownKeys(json), expected));
}
