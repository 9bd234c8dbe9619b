import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';
import t from 'tap';
import { source } from '../support/source-process.ts';
import { scan } from '../support/source-scan.ts';

// Who may import whom, types included, and that only src/engine knows which engine runs.

/** From the top: a file imports from its own line and from those below it. A folder is named with its rooms where their order matters. */
const layers: [string, string][] = [
  ['agent', 'a program of its own in the Node.js build, which nothing else loads'],
  ['main.ts', 'the process: makes the engine run all the rest'],
  ['warm-up.ts', 'calls what every call does, when a start-up snapshot is made'],
  ['call.ts', 'one call, from the environment to the exit status; takes verbs and commands'],
  ['process-host.ts', 'what a call is given, of the real process'],
  ['commands', 'for people; they look at what verbs would do'],
  ['verbs', 'tell the story of ADD, DEL …: they ask IPAM, let plan decide and kernel act'],
  ['ipam/delegate', 'another plugin behind the interface of ipam'],
  ['kernel', 'the only one to change the host: carries out what plan has decided'],
  ['kernel/firewall', 'operations on our own rules'],
  ['kernel/leftovers', 'rules of other plugins'],
  ['kernel/iptables', 'runs a program; ipMasqBackend: "iptables"'],
  ['kernel/nftables', 'transactions of whatever rules, all or nothing'],
  ['netlink/nftables', 'messages about rules'],
  ['netlink', 'messages and sockets; what they say about links is given in the words of plan/state.ts'],
  ['plan', 'decides, and names what it decides about: types and pure functions'],
  ['ipam', 'who has which address'],
  ['ipam/store', 'leases on disk'],
  ['log', 'for whoever wants to say what it does'],
  ['host.ts', 'the type of what a call is given'],
  ['cni', 'the protocol: documents and their types'],
  ['ip', 'addresses and prefixes, of no protocol'],
  ['linux', "the kernel's interface: numbers, bytes, files, clocks"],
  ['engine', 'what runs the program'],
];

/** Packages that are bundled, by what they are imported as. */
const packages = ['pino', 'zod/mini', 'arg', 'ip-cidr', '@noble/hashes/sha2.js'];
/** Packages that only the agent has. */
const agentPackages = ['@kubernetes/client-node/dist/config.js', 'prom-client'];
const isPackage = (name: string) =>
  packages.includes(name) || name.startsWith('netlink/dist/') || /^(\.\.\/)+package\.json$/.test(name);

/** Names of the language that QuickJS has as well; of all other globals of Node.js only src/engine may know. */
const language = new Set(
  `AggregateError Array ArrayBuffer BigInt BigInt64Array BigUint64Array Boolean DataView Date Error EvalError Float32Array Float64Array
  Function Infinity Int16Array Int32Array Int8Array JSON Map Math NaN Number Object Promise RangeError ReferenceError Reflect RegExp Set
  String Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI
  decodeURIComponent encodeURI encodeURIComponent escape globalThis isFinite isNaN parseFloat parseInt undefined unescape`.split(
    /\s+/,
  ),
);
const foreign = new Set(
  [
    ...Object.getOwnPropertyNames(globalThis),
    ...[
      'Bun',
      'Deno',
      'NodeJS',
      'require',
      'module',
      'exports',
      '__dirname',
      '__filename',
      'window',
      'self',
      'std',
      'os',
    ],
  ].filter((name) => !language.has(name)),
);
/** Types of ours that are called like a global; TypeScript would see the other one used as a value. */
const ours = new Set(['Request']);

const root = source('src');
const files = globSync('**/*.ts', { cwd: root })
  .filter((path) => !path.endsWith('.d.ts'))
  .map((path) => ({ path, ...scan(readFileSync(join(root, path), 'utf8')) }));

/** The line of a file: that of the innermost folder that has one. */
function layerOf(path: string): number {
  for (let part = path; part !== '.'; part = dirname(part)) {
    const line = layers.findIndex(([name]) => name === part);
    if (line >= 0) return line;
  }
  throw new Error(`${path} is in no layer: give it a line in the list`);
}

t.test('imports point down the list of layers', async (t) => {
  const upwards: string[] = [];
  for (const { path, imports } of files) {
    for (const imported of imports.filter((name) => name.startsWith('.') && !isPackage(name))) {
      const target = relative(root, normalize(join(root, dirname(path), imported)));
      if (layerOf(target) < layerOf(path)) upwards.push(`${path} -> ${target}`);
    }
  }
  t.strictSame(upwards, []);
});

t.test('every layer exists', async (t) => {
  const empty = layers.filter((_, line) => !files.some(({ path }) => layerOf(path) === line));
  t.strictSame(empty, []);
});

// The agent runs for months, waits for the network and for the kernel, and there is no Kubernetes client for QuickJS: it is in the Node.js build
// alone, and may use what Node.js has. What it does to the host it leaves to kernel/, as everybody does.
const isAgent = ({ path }: { path: string }) => path.startsWith('agent/');
const outside = files.filter((file) => !file.path.startsWith('engine/') && !isAgent(file));

t.test('outside of src/engine, nothing of one engine is imported', async (t) => {
  t.ok(outside.length > 100, `${outside.length} files`);
  for (const { path, imports } of outside) {
    const others = imports.filter((name) => !name.startsWith('.') && name !== '#engine' && !isPackage(name));
    t.strictSame(others, [], path);
  }
});

t.test('the agent imports what is bundled with it, and modules of Node.js', async (t) => {
  for (const { path, imports } of files.filter(isAgent)) {
    const others = imports.filter(
      (name) => !/^(\.|node:)/.test(name) && name !== '#engine' && !isPackage(name) && !agentPackages.includes(name),
    );
    t.strictSame(others, [], path);
  }
});

t.test('outside of src/engine, no global of one engine is named', async (t) => {
  for (const { path, words } of outside) {
    const named = words.filter(({ word, before }) => foreign.has(word) && !ours.has(word) && before !== '.');
    t.strictSame(named, [], path);
  }
});

t.test('private members are private to TypeScript: QuickJS looks for #names one by one', async (t) => {
  const named = files.flatMap(({ path, words }) =>
    words.filter(({ before }) => before === '#').map(({ word }) => `${path} #${word}`),
  );
  t.strictSame(named, []);
});

t.test('a file that another one names is there', async (t) => {
  const known = new Set(globSync('{src,test,scripts}/**/*.ts', { cwd: source('.') }).map((path) => basename(path)));
  for (const { path } of files) {
    const named = readFileSync(join(root, path), 'utf8').match(/[\w.-]+\.ts\b/g) ?? [];
    t.strictSame(
      named.filter((name) => !known.has(name)),
      [],
      path,
    );
  }
});

t.test('the scan itself', async (t) => {
  const rows: { name: string; text: string; words?: string[]; imports?: string[] }[] = [
    { name: 'words', text: 'const größe = a.b', words: ['const', 'größe', 'a', '.b'] },
    { name: 'comments', text: 'a // Buffer\n/* process\n */ b', words: ['a', 'b'] },
    { name: 'strings', text: `a('process', "it's") + b`, words: ['a', 'b'] },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: sources
    { name: 'templates', text: '`Buffer ${a + `in ${b} {` + c} process` + d', words: ['a', 'b', 'c', 'd'] },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: sources
    { name: 'a template that ends in a brace', text: '`${{ a }.a}}` + b', words: ['a', '.a', 'b'] },
    { name: 'regular expressions', text: 'a = /Buffer[/]process/u.test(b)', words: ['a', '.test', 'b'] },
    { name: 'after return', text: 'return /Buffer/.exec(a)', words: ['return', '.exec', 'a'] },
    { name: 'divisions', text: 'a / process / b', words: ['a', 'process', 'b'] },
    { name: 'divisions after a bracket', text: '(a) / b[0] / c', words: ['a', 'b', 'c'] },
    { name: 'spread', text: 'f(...process)', words: ['f', 'process'] },
    { name: 'numbers', text: '0xff + 1_000n + 1e3', words: [] },
    { name: 'imports', text: `import a, { type b } from 'c'; import 'd'; export * from "e"`, imports: ['c', 'd', 'e'] },
    { name: 'imports of types', text: `import type { a } from 'b'`, imports: ['b'] },
    { name: 'imports when asked', text: `await import('a'); f('b')`, imports: ['a'] },
  ];
  for (const { name, text, words, imports } of rows) {
    const scanned = scan(text);
    if (words)
      t.strictSame(
        scanned.words.map(({ word, before }) => (before === '.' ? `.${word}` : word)),
        words,
        name,
      );
    if (imports) t.strictSame(scanned.imports, imports, name);
  }
});
