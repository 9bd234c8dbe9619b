import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import t from 'tap';
import { netlinkEsm, netlinkModules, toEsModule } from '../../../scripts/build/netlink-esm.ts';

// The ES modules that end up in the executables against the CommonJS that the package ships: same names, same bytes.

type Exports = Record<string, unknown>;
type Call = (...args: unknown[]) => unknown;

const require = createRequire(import.meta.url);

async function asBundled(module: string, dir: string): Promise<Exports> {
  const outfile = join(dir, `${module.replace('/', '-')}.cjs`);
  const contents = `export * from 'netlink/dist/${module}.js';`;
  const stdin = { contents, resolveDir: import.meta.dirname, loader: 'js' as const };
  await build({ stdin, outfile, bundle: true, minify: true, platform: 'node', format: 'cjs', plugins: [netlinkEsm] });
  return require(outfile) as Exports;
}

/** What a call gives, or the error it throws: to be compared. */
function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return `throws ${(error as Error).message}`;
  }
}

/** The bytes of `count` attributes that hold `size` bytes each, of types from 1. linux/netlink.h, struct nlattr. */
function attributes(count: number, size: number): Buffer {
  const each = 4 + Math.ceil(size / 4) * 4;
  const bytes = Buffer.alloc(count * each);
  for (let i = 0; i < count; i++) {
    bytes.writeUInt16LE(4 + size, i * each);
    bytes.writeUInt16LE(i + 1, i * each + 2);
    for (let at = 0; at < size; at++) bytes[i * each + 4 + at] = at === size - 1 ? 0 : (i * 7 + at * 13) & 0x7f;
  }
  return bytes;
}

/** Messages and attributes that come close to what every parser of the package wants. */
const inputs: Buffer[] = [
  ...[0, 1, 2, 4, 6, 8, 12, 14, 16, 20, 24, 28, 32, 40, 60, 64, 88, 96, 192].map((length) =>
    Buffer.from(Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff)),
  ),
];
for (const size of [0, 1, 2, 4, 6, 8, 16]) {
  // One attribute of each type alone, for a parser stops at the first that has not the length it wants.
  const all = attributes(70, size);
  const each = all.length / 70;
  for (let i = 0; i < 70; i++) inputs.push(all.subarray(i * each, (i + 1) * each));
}

t.test('the ES modules of netlink', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'netlink-esm-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  let compared = 0;
  for (const module of netlinkModules) {
    const original = require(`netlink/dist/${module}.js`) as Exports;
    const bundled = await asBundled(module, dir);
    t.strictSame(Object.keys(bundled).sort(), Object.keys(original).sort(), `${module}: same exports`);
    const differing: string[] = [];
    for (const [name, value] of Object.entries(original)) {
      const other = bundled[name];
      if (typeof value !== 'function') {
        if (JSON.stringify(value) !== JSON.stringify(other)) differing.push(name);
        continue;
      }
      if (!name.startsWith('parse')) continue;
      const format = name.replace('parse', 'format');
      for (const input of inputs) {
        const [here, there] = [outcome(() => parsed(value, input)), outcome(() => parsed(other, input))];
        compared += 1;
        if (!isSame(here, there)) differing.push(`${name}(${input.toString('hex')})`);
        // And back to bytes. An attribute list is written into a stream, a structure is returned.
        if (typeof here === 'string' || typeof original[format] !== 'function') continue;
        const [bytes, others] = [original, bundled].map((exports) => outcome(() => encoded(exports[format], here)));
        compared += 1;
        if (!isSame(bytes, others)) differing.push(`${format}(${JSON.stringify(here)})`);
      }
    }
    t.strictSame(differing, [], `${module}: same values, same parsing, same bytes`);
  }
  t.ok(compared > 100_000, `${compared} comparisons`);
});

const structs = require('netlink/dist/structs.js') as {
  AttrStream: new () => { emit(data: unknown): void; bufs: Buffer[] };
};

/** What a parser gives, or hands to a callback piece by piece. */
function parsed(parse: unknown, input: Buffer): unknown {
  const pieces: unknown[] = [];
  const result = (parse as Call)(input, (piece: unknown) => pieces.push(piece));
  return pieces.length > 0 ? pieces : result;
}

function encoded(format: unknown, value: unknown): Buffer {
  const stream = new structs.AttrStream();
  stream.emit((format as Call)(value));
  return Buffer.concat(stream.bufs);
}

const isSame = (a: unknown, b: unknown) => show(a) === show(b);
const show = (value: unknown) => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v));

t.test('an enum that nobody uses is left out of a bundle', async (t) => {
  const contents = `import { formatHeader } from 'netlink/dist/structs.js'; console.log(formatHeader);`;
  const stdin = { contents, resolveDir: import.meta.dirname, loader: 'js' as const };
  const { outputFiles } = await build({
    stdin,
    bundle: true,
    minify: true,
    write: false,
    platform: 'node',
    plugins: [netlinkEsm],
  });
  const text = outputFiles[0]?.text ?? '';
  t.match(text, /alloc/, 'what is used is there');
  t.notMatch(text, /readDouble|GENL|endianness/, 'and nothing else');
});

t.test('anything else of the package ends a build', async (t) => {
  const stdin = { contents: `import 'netlink';`, resolveDir: import.meta.dirname, loader: 'js' as const };
  const options = {
    stdin,
    bundle: true as const,
    write: false as const,
    platform: 'node' as const,
    logLevel: 'silent' as const,
    plugins: [netlinkEsm],
  };
  await t.rejects(build(options), /only structs, rt\/structs, rt\/gen_structs, rt\/ifla of netlink may be bundled/);
});

t.test('a shape that is not known ends a build', (t) => {
  const head = 'Object.defineProperty(exports, "__esModule", { value: true });\n';
  for (const [line, problem] of [
    ['module.exports = 1;', 'module.'],
    ['const x = require("fs");', 'require('],
    ['Object.assign(exports, other);', 'exports'],
  ] as const) {
    t.throws(() => toEsModule(head + line, 'x'), {
      message: `netlink/dist/x.js: do not know how to turn "${problem}" into an ES module`,
    });
  }
  t.throws(() => toEsModule('export const x = 1;', 'x'), {
    message: 'netlink/dist/x.js: not CommonJS as tsc writes it',
  });
  t.end();
});

t.test('a function of the package that is renamed or shadowed would be noticed', (t) => {
  // The transformation drops the qualifier of `exports.name`: no inner declaration may bear the name of an export.
  for (const module of netlinkModules) {
    const code = toEsModule(readFileSync(require.resolve(`netlink/dist/${module}.js`), 'utf8'), module);
    const names = new Set(Object.keys(require(`netlink/dist/${module}.js`) as Exports));
    const inner = [...code.matchAll(/^\s+(?:const|let|var) (\w+)/gm)].map(([, name]) => name as string);
    t.strictSame(
      inner.filter((name) => names.has(name)),
      [],
      module,
    );
  }
  t.end();
});
