import t from 'tap';
import { PT_LOAD, variableAt } from '../../../scripts/build/elf.ts';
import { turnOffMutexChecks } from '../../../scripts/build/mutex-checks.ts';

const name = '_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE.0';

/** An executable with one loaded segment at 0x5000, and these symbols. */
function elf(symbols: { name: string; address: number }[]): Buffer {
  const file = Buffer.alloc(0x4000);
  const u64 = (value: number, at: number) => file.writeBigUInt64LE(BigInt(value), at);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  u64(64, 32); // e_phoff
  u64(256, 40); // e_shoff
  for (const [i, value] of [64, 56, 1, 64, 2, 0].entries()) file.writeUInt16LE(value, 52 + 2 * i);
  file.writeUInt32LE(PT_LOAD, 64);
  for (const [i, value] of [0x1000, 0x5000, 0x5000, 0x800, 0x1000, 4096].entries()) u64(value, 72 + 8 * i);
  const [symbolsAt, namesAt] = [0x2000, 0x3000];
  file.writeUInt32LE(2, 256 + 4); // SHT_SYMTAB
  u64(symbolsAt, 256 + 24);
  u64(24 * symbols.length, 256 + 32);
  file.writeUInt32LE(1, 256 + 40); // the section with the names
  u64(namesAt, 320 + 24);
  let nameAt = 1;
  for (const [i, { name, address }] of symbols.entries()) {
    file.writeUInt32LE(nameAt, symbolsAt + 24 * i);
    u64(address, symbolsAt + 24 * i + 8);
    nameAt += file.write(`${name}\0`, namesAt + nameAt, 'latin1');
  }
  return file;
}

t.test('where the value of a variable is', async (t) => {
  const file = elf([
    { name: 'first', address: 0x5000 },
    { name: 'bss', address: 0x5900 },
    { name, address: 0x5010 },
  ]);
  t.equal(variableAt(file, name), 0x1010);
  t.equal(variableAt(file, name.slice(0, -2)), 0x1010, "what compilers append to a name of their own isn't known");
  t.equal(variableAt(file, 'bss'), undefined, 'it has no value in the file');
  t.equal(variableAt(file, 'other'), undefined);
});

t.test('debug checks are turned off where they are on', async (t) => {
  const file = elf([{ name, address: 0x5010 }]);
  t.equal(turnOffMutexChecks(file), false, 'off');
  file.writeUInt32LE(2, 0x1010);
  const before = Buffer.from(file);
  t.equal(turnOffMutexChecks(file), true);
  before.writeUInt32LE(0, 0x1010);
  t.ok(file.equals(before), 'nothing else has changed');
  t.equal(turnOffMutexChecks(elf([])), false, 'not there');
});
