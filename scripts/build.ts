import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { project } from './build/bundle.ts';
import { type Architecture, architectures } from './build/executable.ts';
import { buildPkg } from './build/pkg.ts';
import { buildStatic } from './build/static.ts';

const usage = `usage: node scripts/build.ts pkg|static [--arch ${architectures.join('|')}] [--output FILE]`;

const kinds = {
  pkg: { build: buildPkg, output: 'bin/tsbridge' },
  static: { build: buildStatic, output: 'bin/tsbridge-static' },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { arch: { type: 'string', default: process.arch }, output: { type: 'string' } },
});
const kind = kinds[positionals[0] as keyof typeof kinds];
const arch = values.arch as Architecture;
if (!kind || positionals.length > 1 || !architectures.includes(arch)) {
  console.error(usage);
  process.exit(2);
}
if (!process.version.startsWith('v26.')) {
  console.error(`this has to run on Node.js 26, not ${process.version}: use make`);
  process.exit(2);
}
const output = resolve(project, values.output ?? kind.output);
try {
  await kind.build(output, arch);
  console.log(output);
} catch (error) {
  console.error(`cannot build ${output}: ${(error as Error).message}`);
  process.exit(1);
}
