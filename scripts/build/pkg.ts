import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { bundle, project } from './bundle.ts';
import { type Architecture, checkExecutable, replaceExecutable, runtimeExecutable } from './executable.ts';

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
  const { path } = await bundle('node', outdir);
  // A snapshot is made by the very executable that restores it: for another processor, do without.
  const useSnapshot = arch === process.arch;
  const entry = useSnapshot ? await compiledAtOnce(path) : path;

  // pkg runs, through the shell and below the temporary directory, `node --experimental-sea-config`, which has to be of
  // the version that ends up in the executable, and `npx postject`, which has to be the one installed here.
  const tools = join(project, 'build/tools');
  await mkdir(tools, { recursive: true });
  const npx = '#!/bin/sh\n# npx postject WORD...\nshift\nexec node "$POSTJECT" "$@"\n';
  if (!existsSync(join(tools, 'npx'))) await writeFile(join(tools, 'npx'), npx, { mode: 0o755 });
  process.env.PATH = [tools, dirname(process.execPath), process.env.PATH].join(delimiter);
  process.env.POSTJECT = join(project, 'node_modules/postject/dist/cli.js');
  process.env.TMPDIR = join(project, 'build/tmp');
  await mkdir(process.env.TMPDIR, { recursive: true });

  const require = createRequire(import.meta.url);
  require('@yao-pkg/pkg/lib-es5/log').log.info = () => {};
  const sea = require('@yao-pkg/pkg/lib-es5/sea').default as Sea;
  await replaceExecutable(
    output,
    (temporary) =>
      sea(entry, {
        targets: [{ nodeRange: 'node26', platform: 'linux', arch, output: temporary }],
        nodePath: node,
        seaConfig: { ...seaConfig, useSnapshot },
      }),
    // NB: pkg reports success even when adding the program to the executable failed.
    (temporary) => checkExecutable(temporary, node, arch),
  );
}

/**
 * Wraps a script so that V8 compiles all of its functions when the snapshot is taken, instead of each one when it is
 * first called, after every start: that would be a fifth of an ADD. Not as an option of the process: Node's own
 * thousands of functions would then be compiled as well, and restoring them costs more than it saves.
 */
async function compiledAtOnce(script: string): Promise<string> {
  const path = script.replace(/\.cjs$/, '.snapshot.cjs');
  const source = JSON.stringify(`(function () {${await readFile(script, 'utf8')}\n})`);
  await writeFile(
    path,
    `const { setFlagsFromString } = process.getBuiltinModule('node:v8');
setFlagsFromString('--no-lazy');
setFlagsFromString('--no-flush-bytecode');
const program = process.getBuiltinModule('node:vm').runInThisContext(${source}, { filename: 'tsbridge' });
setFlagsFromString('--lazy');
program();
`,
  );
  return path;
}

// https://nodejs.org/api/single-executable-applications.html
const seaConfig = {
  disableExperimentalSEAWarning: true,
  execArgv: [
    // Restoring a snapshot, Node gives its hash tables a new random seed and rehashes them: 10 ms. The seed protects
    // long-running servers from crafted keys; this process reads what root wrote and ends.
    '--no-rehash-snapshot',
    '--v8-pool-size=1', // threads for V8 that would have nothing to do; 0 means a number of Node's choice
    '--openssl-config=/dev/null', // neither the machine's nor one that OPENSSL_CONF names: nothing is encrypted here
    // NB: tried without a gain once functions are in the snapshot: --max-opt, --single-threaded, --jitless (2 ms less for
    // an ADD, but then nothing is ever compiled). --min-semi-space-size=16 costs 3 ms.
  ],
  // The environment (NODE_OPTIONS) and the command line cannot add options.
  execArgvExtension: 'none',
};
