import t from 'tap';
import {
  big64,
  concat,
  equalBytes,
  hex,
  i32,
  latin1,
  putText,
  putU16,
  putU32,
  strictText,
  text,
  textToNul,
  u16,
  u32,
  u32be,
  u64,
  utf8,
  utf8Length,
} from '../../../src/linux/bytes.ts';

const bytes = (digits: string) => Uint8Array.from(Buffer.from(digits.replaceAll(' ', ''), 'hex'));

t.test('numbers are read at a position, the last byte highest', async (t) => {
  const some = bytes('00 f1f2f3f4 f5f6f7f8');
  const rows: [string, number | bigint, number | bigint][] = [
    ['u16', u16(some, 1), 0xf2f1],
    ['u16 at the beginning', u16(some), 0xf100],
    ['u32', u32(some, 1), 0xf4f3f2f1],
    ['i32', i32(some, 1), -0x0b0c0d0f],
    ['u32be', u32be(some, 1), 0xf1f2f3f4],
    ['u64', u64(bytes('ffffffff ffff1f00')), Number.MAX_SAFE_INTEGER],
    ['big64', big64(some, 1), 0xf8f7f6f5f4f3f2f1n],
  ];
  for (const [name, given, expected] of rows) t.equal(given, expected, name);
});

t.test('a view is read from its own beginning', async (t) => {
  const view = bytes('11223344 aabbccdd').subarray(4);
  t.equal(u32(view), 0xddccbbaa);
  t.equal(text(bytes('6162636465').subarray(1, 4)), 'bcd');
});

t.test('what lies beyond the end reads as 0', async (t) => {
  const short = bytes('ff');
  t.strictSame(
    [u16(short), u32(short), u32be(short), i32(short, 4), u64(short), big64(short)],
    [255, 255, 0xff000000, 0, 255, 255n],
  );
});

t.test('numbers are put at a position, and cut to their length', async (t) => {
  const into = new Uint8Array(8);
  putU16(into, 1, 0x1f2f3);
  putU32(into, 4, -2);
  t.equal(hex(into), '00f3f200feffffff');
  putU32(into, 0, 0xfffffffe);
  t.equal(u32(into), 0xfffffffe);
});

t.test('texts are put as UTF-8, and what does not fit is left out', async (t) => {
  const rows: [string, number, number, string][] = [
    ['eth0', 0, 4, '657468300000'],
    ['eth0', 2, 4, '000065746830'],
    ['größe', 0, 6, '6772c3b6c39f'],
    ['ab😀', 0, 6, '6162f09f9880'],
    ['longer than this', 3, 3, '0000006c6f6e'],
    ['', 6, 0, '000000000000'],
    ['\ud800', 0, 3, 'efbfbd000000'],
  ];
  for (const [what, at, length, expected] of rows) {
    const into = new Uint8Array(6);
    t.strictSame([putText(into, at, what), hex(into)], [length, expected], what);
  }
});

t.test('the length of a text in UTF-8', async (t) => {
  for (const what of ['', 'eth0', 'größe', '€', '😀', '\ud800', 'a\u007f\u0080'])
    t.equal(utf8Length(what), Buffer.byteLength(what), JSON.stringify(what));
});

t.test('UTF-8 and back', async (t) => {
  for (const what of ['', 'eth0', 'größe, €, 😀', '\ufeffa', 'a\0b'])
    t.equal(text(utf8(what)), what, JSON.stringify(what));
  t.equal(text(bytes('61 ff 62')), 'a\ufffdb', 'what is no UTF-8');
  t.equal(text(bytes('eda080')), '\ufffd\ufffd\ufffd', 'nor is a surrogate');
  t.equal(strictText(bytes('c3b6')), 'ö');
  for (const wrong of ['ff', 'c3', 'eda080', 'c080', 'f4908080'])
    t.throws(() => strictText(bytes(wrong)), { name: 'TypeError' }, wrong);
});

t.test('a text up to the first NUL, or to the end', async (t) => {
  const name = bytes('78 65746830 00 ff');
  t.equal(textToNul(name, 1), 'eth0');
  t.equal(textToNul(name, 1, 3), 'et');
  t.equal(textToNul(name, 5), '');
  t.equal(textToNul(name, 9), '');
});

t.test('latin1 is a character for each byte, of any length', async (t) => {
  t.equal(latin1(bytes('00 7f 80 ff')), '\0\x7f\x80\xff');
  t.equal(latin1(bytes('61626364'), 1, 3), 'bc');
  const many = new Uint8Array(200_000).map((_, i) => i);
  t.equal(latin1(many), Buffer.from(many).toString('latin1'));
});

t.test('hexadecimal digits', async (t) => {
  t.equal(hex(bytes('02 0a ff')), '020aff');
  t.equal(hex(bytes('02 0a ff'), ':'), '02:0a:ff');
  t.equal(hex(new Uint8Array()), '');
});

t.test('bytes are compared and joined', async (t) => {
  t.ok(equalBytes(bytes('0102'), bytes('000102').subarray(1)));
  t.notOk(equalBytes(bytes('0102'), bytes('0103')));
  t.notOk(equalBytes(bytes('0102'), bytes('010200')));
  t.equal(hex(concat([bytes('01'), new Uint8Array(), bytes('0203')])), '010203');
  t.equal(concat([]).length, 0);
});
