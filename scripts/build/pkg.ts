import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { bundle, bundleAgent, project } from './bundle.ts';
import { type Architecture, checkExecutable, nodeExecutable, replaceExecutable } from './executable.ts';

type Sea = (
  entry: string,
  options: {
    targets: { nodeRange: string; platform: string; arch: string; output: string }[];
    nodePath: string;
    seaConfig: Record<string, unknown>;
  },
) => Promise<void>;

/** Makes a Node.js executable with pkg, of its SEA kind: one script, started from a V8 snapshot of its evaluated modules. */
export async function buildPkg(output: string, arch: Architecture): Promise<void> {
  const node = nodeExecutable(arch);
  const outdir = join(project, 'build/node');
  const metafile = await bundle('node', outdir, { platform: 'node', format: 'cjs' });
  await writeFile(join(outdir, 'meta.json'), JSON.stringify(metafile));
  await writeFile(join(outdir, 'agent-meta.json'), JSON.stringify(await bundleAgent(outdir)));
  const entry = join(outdir, 'tsbridge.cjs');
  // A snapshot is made by the very executable that restores it: for another processor, do without.
  const useSnapshot = arch === process.arch;
  const program = await readFile(join(outdir, 'main.js'), 'utf8');
  await writeFile(entry, useSnapshot ? compiledWhole(program) : program);

  // pkg runs, through the shell and below the temporary directory, `node --experimental-sea-config`, which has to be of the version that
  // ends up in the executable, with the options that it will run with, and `npx postject`, which has to be the one installed here.
  const tools = join(project, 'build/tools');
  await mkdir(tools, { recursive: true });
  await writeFile(join(tools, 'npx'), '#!/bin/sh\nshift\nexec node "$POSTJECT" "$@"\n', { mode: 0o755 });
  await writeFile(join(tools, 'node'), `#!/bin/sh\nexec "$NODE" ${v8Flags.join(' ')} --no-warnings "$@"\n`, {
    mode: 0o755,
  });
  process.env.NODE = process.execPath;
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
        seaConfig: { ...seaConfig, useSnapshot, assets: { 'agent.cjs': join(outdir, 'agent.cjs') } },
      }),
    // NB: pkg reports success even when adding the program to the executable failed.
    check: (temporary) => checkExecutable(temporary, node, arch),
  });
}

/**
 * A script that has all functions of the program compiled when it is evaluated, instead of each one when it is first called, after every start:
 * the snapshot then holds them compiled, which is worth a seventh of an ADD. Not as an option of the whole process: Node's own thousands
 * of functions would be compiled as well, and restoring them costs more than it saves.
 */
const compiledWhole = (program: string): string => `
const { setFlagsFromString } = require('node:v8');
const { runInThisContext } = require('node:vm');
setFlagsFromString('--no-lazy');
const run = runInThisContext(${JSON.stringify(`(function (require) {${program}\n})`)}, { filename: 'tsbridge' });
setFlagsFromString('--lazy');
run(require);
`;

/** V8's options, of the process that takes the snapshot as of those that start from it: V8 refuses bytecode that was made under others. */
const v8Flags = [
  // Restoring a snapshot, Node gives its hash tables a new random seed and rehashes them: 10 ms. The seed protects long-running servers
  // from crafted keys; this process reads what root wrote and ends.
  '--no-rehash-snapshot',
  // The seed that the snapshot holds is no secret, being the same in every process: the same one in every build makes builds comparable.
  '--hash-seed=1',
  '--random-seed=1',
  // What is compiled when the snapshot is taken stays in it.
  '--no-flush-bytecode',
  // A call runs some 700 functions once or twice: what V8 learns and compiles to run them faster, it never earns back. It took a tenth of
  // the processor time of an ADD. Long work asks for it: Engine.expectLongWork.
  '--invocation-count-for-feedback-allocation=10000',
  '--no-sparkplug',
  '--no-maglev',
  '--no-opt',
  // Nor is there ever time to collect garbage in. Long work has it again.
  '--no-minor-gc-task',
  '--no-memory-reducer',
];

// https://nodejs.org/api/single-executable-applications.html
const seaConfig = {
  disableExperimentalSEAWarning: true,
  execArgv: [
    ...v8Flags,
    '--disable-sigusr1', // no thread, and no debugger in a process of root's, for whoever sends that signal
    '--v8-pool-size=1', // threads for V8 that would have nothing to do; 0 means a number of Node's choice
    '--openssl-config=/dev/null', // neither the machine's nor one that OPENSSL_CONF names: only the agent encrypts, by Node's own settings
  ],
  // The environment (NODE_OPTIONS) and the command line cannot add options.
  execArgvExtension: 'none',
};
