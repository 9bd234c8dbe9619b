import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { isContainerID, leaseText, parseLease, readLease } from '../../../../src/ipam/store/lease-file.ts';

t.test('a lease has the bytes of the reference plugin', async (t) => {
  // printf 'dummy\r\neth0' | xxd -p; the reference plugin writes no newline at the end
  t.equal(Buffer.from(leaseText('dummy', 'eth0')).toString('hex'), '64756d6d790d0a65746830');
});

t.test('what is read from a lease file', async (t) => {
  const exact = { containerID: 'dummy', ifname: 'eth0', form: 'exact' };
  const rows: [string, string, unknown][] = [
    ['as it is written', 'dummy\r\neth0', exact],
    ['white space around it counts for nothing', ' dummy\r\neth0\n\n', exact],
    ['a bare line feed, as an editor leaves it', 'dummy\neth0\n', { containerID: 'dummy', ifname: 'eth0', form: 'lf' }],
    ['a container ID alone: before 0.7', 'dummy', { containerID: 'dummy', ifname: '', form: 'bare' }],
    ['echo printer > 10.1.2.50', 'printer\n', { containerID: 'printer', ifname: '', form: 'bare' }],
    ['no bytes: the plugin was killed before it wrote', '', 'garbled'],
    ['NUL bytes: a power cut', '\0\0\0\0\0\0\0\0\0\0\0', 'garbled'],
    ['a blank line is a reservation, for somebody made it: echo > 10.1.2.50', '\n', 'foreign'],
    ['three lines', 'reserved\nfor the\nprinter\n', 'foreign'],
    ['NUL bytes and others', '\0dummy', { containerID: '\0dummy', ifname: '', form: 'bare' }],
    ['longer than any lease', 'x'.repeat(4097), 'foreign'],
  ];
  for (const [name, text, wanted] of rows) t.strictSame(parseLease(Buffer.from(text)), wanted, name);
});

t.test('a person’s note is told from a container ID', async (t) => {
  t.equal(isContainerID('3f'.repeat(32)), true);
  t.equal(isContainerID('printer'), false);
  t.equal(isContainerID('3F'.repeat(32)), false);
});

t.test('only regular files are leases', async (t) => {
  const dir = t.testdir({ lease: 'a\r\neth0' });
  writeFileSync(`${dir}/10.0.0.2`, 'a\r\neth0');
  symlinkSync('lease', `${dir}/10.0.0.3`);
  mkdirSync(`${dir}/10.0.0.4`);
  spawnSync('mkfifo', [`${dir}/10.0.0.5`]);
  symlinkSync('/dev/null', `${dir}/10.0.0.6`);
  t.strictSame(
    ['2', '3', '4', '5', '6', '7'].map((n) => readLease(`${dir}/10.0.0.${n}`)),
    [{ containerID: 'a', ifname: 'eth0', form: 'exact' }, undefined, undefined, undefined, undefined, undefined],
  );
});
