import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { transform } from 'esbuild';
import { type Bundle, bundle, project, target } from './bundle.ts';
import { type Architecture, checkExecutable, replaceExecutable, runtimeExecutable } from './executable.ts';
import { turnOffMutexChecks } from './mutex-checks.ts';

type Sea = (
  entry: string,
  options: {
    targets: { nodeRange: string; platform: string; arch: string; output: string }[];
    nodePath: string;
    seaConfig: Record<string, unknown>;
  },
) => Promise<void>;

/** Makes a Node executable with pkg, of its SEA kind: the program starts from a V8 snapshot of its evaluated modules. */
export async function buildPkg(output: string, arch: Architecture): Promise<void> {
  const node = runtimeExecutable('node', arch);
  const outdir = join(project, 'build/node');
  const program = await minified(await bundle('node', outdir));
  // A snapshot is made by the very executable that restores it: for another processor, do without.
  const useSnapshot = arch === process.arch;
  const entry = join(outdir, 'tsbridge.cjs');
  await writeFile(entry, useSnapshot ? await snapshotScript(program) : plainScript(program));

  // pkg runs, through the shell and below the temporary directory, `node --experimental-sea-config`, which has to be of
  // the version that ends up in the executable, and `npx postject`, which has to be the one installed here.
  // In between, the blob is made smaller.
  const tools = join(project, 'build/tools');
  await mkdir(tools, { recursive: true });
  const npx = `#!/bin/sh
# npx postject EXECUTABLE RESOURCE BLOB WORD...
shift
${useSnapshot ? 'node "$SEA_BLOB" "$3" &&' : ''} exec node "$POSTJECT" "$@"
`;
  await writeFile(join(tools, 'npx'), npx, { mode: 0o755 });
  const withFlags = `#!/bin/sh\nexec "$NODE" ${[...v8Flags, ...snapshotFlags].join(' ')} "$@"\n`;
  await writeFile(join(tools, 'node'), withFlags, { mode: 0o755 });
  process.env.NODE = process.execPath;
  process.env.SEA_BLOB = join(import.meta.dirname, 'sea-blob.ts');
  process.env.PATH = [tools, dirname(process.execPath), process.env.PATH].join(delimiter);
  process.env.POSTJECT = join(project, 'node_modules/postject/dist/cli.js');
  process.env.TMPDIR = join(project, 'build/tmp');
  await mkdir(process.env.TMPDIR, { recursive: true });

  const require = createRequire(import.meta.url);
  require('@yao-pkg/pkg/lib-es5/log').log.info = () => {};
  const sea = require('@yao-pkg/pkg/lib-es5/sea').default as Sea;
  await replaceExecutable(output, {
    make: (temporary) =>
      sea(entry, {
        targets: [{ nodeRange: 'node26', platform: 'linux', arch, output: temporary }],
        nodePath: node,
        seaConfig: { ...seaConfig, useSnapshot },
      }),
    change: turnOffMutexChecks,
    // NB: pkg reports success even when adding the program to the executable failed.
    check: (temporary) => checkExecutable(temporary, node, arch),
  });
}

/** The parts of a bundle as expressions: a function of the rare ones, and them. */
export async function minified({ hot, rare }: Bundle): Promise<Omit<Bundle, 'metafile'>> {
  const expression = async (code: string) => {
    // As the value of something: esbuild would drop an expression that nobody uses.
    const minimal = await transform(`x.y=${code}`, { minify: true, target, legalComments: 'none' });
    return minimal.code.trim().replace(/^x\.y\s*=|;$/g, '');
  };
  const require = 'process.getBuiltinModule';
  return {
    hot: await expression(`(rare, require = ${require}) => {${hot}}`),
    rare: await expression(`((require) => ${rare})(${require})`),
  };
}

/** The script of an executable without a snapshot. */
export const plainScript = ({ hot, rare }: Omit<Bundle, 'metafile'>): string => `(${hot})(${rare});\n`;

/**
 * The script that is run when the snapshot is taken. V8 compiles all functions of the hot part then, instead of each one when it is first
 * called, after every start: that would be a fifth of an ADD. Not as an option of the process: Node's own thousands of functions would
 * then be compiled as well, and restoring them costs more than it saves; nor of the rare part, for the same reason.
 * At last, for the bytecode of Node's modules beside the snapshot, of which few are kept (sea-blob.ts): these whole.
 */
export async function snapshotScript({ hot, rare }: Omit<Bundle, 'metafile'>): Promise<string> {
  const prelude = await readFile(join(import.meta.dirname, 'snapshot-prelude.cjs'), 'utf8');
  const run = (code: string) => `runInThisContext(${JSON.stringify(code)}, { filename: 'tsbridge' })`;
  return `${prelude}
const { runInThisContext } = process.getBuiltinModule('node:vm');
const rare = ${run(rare)};
setFlagsFromString('--no-lazy');
const hot = ${run(hot)};
setFlagsFromString('--lazy');
hot(rare);
startupSnapshot.addSerializeCallback(() => setFlagsFromString('--no-lazy'));
delete globalThis.startupSnapshot;
`;
}

/**
 * V8's options, of the process that takes the snapshot as of those that start from it: V8 refuses bytecode that was made under others
 * (SerializedCodeData::SanityCheck), and compiles what is kept of Node's modules again.
 */
export const v8Flags = [
  // Restoring a snapshot, Node gives its hash tables a new random seed and rehashes them: 10 ms. The seed protects long-running servers
  // from crafted keys; this process reads what root wrote and ends.
  '--no-rehash-snapshot',
  // What is compiled when the snapshot is taken stays in it.
  '--no-flush-bytecode',
  // A call runs some 700 functions once or twice: what V8 learns and compiles to run them faster, it never earns back. It took a tenth of
  // the processor time of an ADD. Long work asks for it: expectLongWork, src/sys/ffi.node.ts.
  '--invocation-count-for-feedback-allocation=10000',
  '--no-sparkplug',
  '--no-maglev',
  '--no-opt',
];

/** Options of Node's for the process that takes the snapshot, alone. A warning would load all that writes to stderr. */
export const snapshotFlags = ['--expose-internals', '--no-warnings'];

// https://nodejs.org/api/single-executable-applications.html
const seaConfig = {
  disableExperimentalSEAWarning: true,
  execArgv: [
    ...v8Flags,
    '--disable-sigusr1', // no thread, and no debugger in a process of root's, for whoever sends that signal
    '--v8-pool-size=1', // threads for V8 that would have nothing to do; 0 means a number of Node's choice
    '--openssl-config=/dev/null', // neither the machine's nor one that OPENSSL_CONF names: nothing is encrypted here
    // NB: tried without a gain: --single-threaded, --jitless (and then nothing can ever be compiled). --min-semi-space-size=16 costs 3 ms.
  ],
  // The environment (NODE_OPTIONS) and the command line cannot add options.
  execArgvExtension: 'none',
};
