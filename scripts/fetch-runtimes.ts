import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from './build/bundle.ts';
import { type Architecture, architectures, foreignPackages, nodePackages } from './build/executable.ts';

/**
 * fetch-runtimes.ts ARCH: installs the Node.js of another processor, of the version and with the checksum of
 * package-lock.json, next to the project's packages: npm keeps those of one processor only in one place.
 */
const arch = process.argv[2] as Architecture;
if (!architectures.includes(arch)) {
  console.error(`usage: fetch-runtimes.ts ${architectures.join('|')}`);
  process.exit(2);
}

const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
  lockfileVersion: number;
  packages: Record<string, { version: string; optional?: boolean }>;
};
const packages = [nodePackages[arch]].map((name) => {
  const entry = lock.packages[`node_modules/${name}`];
  if (!entry) throw new Error(`package-lock.json does not name ${name}`);
  const { optional: _, ...wanted } = entry;
  return { name, wanted };
});
const manifest = {
  name: `tsbridge-runtimes-${arch}`,
  private: true,
  dependencies: Object.fromEntries(packages.map(({ name, wanted }) => [name, wanted.version])),
};
const dir = foreignPackages(arch);
mkdirSync(dir, { recursive: true });
writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest));
writeFileSync(
  join(dir, 'package-lock.json'),
  JSON.stringify({
    name: manifest.name,
    lockfileVersion: lock.lockfileVersion,
    requires: true,
    packages: {
      '': { ...manifest },
      ...Object.fromEntries(packages.map(({ name, wanted }) => [`node_modules/${name}`, wanted])),
    },
  }),
);
// --force: they cannot run here.
const args = ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', `--cpu=${arch}`];
const { status, error } = spawnSync('npm', args, { cwd: dir, stdio: 'inherit' });
if (error) throw error;
process.exit(status ?? 1);
