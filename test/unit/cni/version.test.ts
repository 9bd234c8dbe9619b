import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import {
  compareVersions,
  gateVersion,
  isSupported,
  resultFamily,
  supportedVersions,
} from '../../../src/cni/version.ts';

t.test('the supported versions are exactly these, and nothing near them', async (t) => {
  t.strictSame(supportedVersions, ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']);
  for (const version of ['1.0', '1.0.1', '01.0.0', ' 1.0.0', '1.2.0', '', 'v1.0.0'])
    t.equal(isSupported(version), false, version);
});

t.test('versions are compared by their numbers, absent ones being 0', async (t) => {
  const table: [string, string, number | undefined][] = [
    ['0.4.0', '0.4.0', 0],
    ['0.4', '0.4.0', 0],
    ['1', '1.0.0', 0],
    ['', '0.1.0', 0],
    ['0.10.0', '0.9.0', 1],
    ['0.3.1', '0.4.0', -1],
    ['asdf.', '0.4.0', undefined],
    ['0.', '0.4.0', undefined],
    ['..', '0.4.0', undefined],
    ['1.0.0.0', '0.4.0', undefined],
  ];
  for (const [a, b, expected] of table) {
    const order = compareVersions(a, b);
    t.equal(order === undefined ? undefined : Math.sign(order), expected, `${a} and ${b}`);
  }
});

t.test('results have three shapes', async (t) => {
  t.strictSame(supportedVersions.map(resultFamily), [1, 1, 3, 3, 3, 10, 10]);
});

const list = '["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]';

t.test('a version and a verb that go together pass', async (t) => {
  const table: [string | undefined, string, string][] = [
    [undefined, 'ADD', '0.1.0'],
    ['', 'DEL', '0.1.0'],
    ['0.3.0', 'ADD', '0.3.0'],
    ['0.4.0', 'CHECK', '0.4.0'],
    ['1.1.0', 'GC', '1.1.0'],
    ['1.1.0', 'STATUS', '1.1.0'],
  ];
  for (const [version, command, expected] of table)
    t.equal(gateVersion(version, command), expected, `${version} ${command}`);
});

t.test('a version and a verb that do not go together are refused', async (t) => {
  const table: [string | undefined, string, number, string, string | undefined][] = [
    ['1.2.0', 'ADD', 1, 'incompatible CNI versions', `config is "1.2.0", plugin supports ${list}`],
    ['1.0.1', 'DEL', 1, 'incompatible CNI versions', `config is "1.0.1", plugin supports ${list}`],
    ['abc', 'ADD', 1, 'incompatible CNI versions', `config is "abc", plugin supports ${list}`],
    ['1.0.1', 'CHECK', 1, 'incompatible CNI versions', `config is "1.0.1", plugin supports ${list}`],
    ['9.9.9', 'CHECK', 1, 'plugin version does not allow CHECK', `config is "9.9.9", plugin supports ${list}`],
    [undefined, 'CHECK', 1, 'config version does not allow CHECK', 'config is "0.1.0", CHECK needs "0.4.0" or newer'],
    ['0.3.9', 'CHECK', 1, 'config version does not allow CHECK', 'config is "0.3.9", CHECK needs "0.4.0" or newer'],
    ['1.0.0', 'GC', 1, 'config version does not allow GC', 'config is "1.0.0", GC needs "1.1.0" or newer'],
    ['1.0.0', 'STATUS', 1, 'config version does not allow STATUS', 'config is "1.0.0", STATUS needs "1.1.0" or newer'],
    [
      'abc',
      'CHECK',
      6,
      'cniVersion: "abc" is not a version; expected one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      undefined,
    ],
  ];
  for (const [version, command, code, message, details] of table) {
    t.test(`${version} ${command}`, async (t) => {
      const error = t.throws(() => gateVersion(version, command), CniError) as CniError;
      t.strictSame([error.code, error.message, error.details], [code, message, details]);
    });
  }
});
