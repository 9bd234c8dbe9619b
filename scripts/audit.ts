import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** An entry of package-lock.json, as far as it is looked at. */
export interface Locked {
  version?: string;
  resolved?: string;
  integrity?: string;
  license?: string;
  hasInstallScript?: boolean;
  optional?: boolean;
}

/** Licenses that ask for nothing but to be named. */
const licenses = new Set([
  ...[
    'MIT',
    'PSF-2.0',
    'ISC',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'Apache-2.0',
    'BlueOak-1.0.0',
    'CC0-1.0',
    '0BSD',
    'Unlicense',
    'Python-2.0',
  ],
  'CC-BY-3.0', // a list of texts (spdx-exceptions)
]);

/** Packages that do not say their license in package.json, by the license that is in them. */
const unsaid: Record<string, string> = { 'jsonc-simple-parser': 'MIT' };

/** Packages with a script for their installation, which is not run (.npmrc, ignore-scripts) and not needed. */
const unrun = new Set(['esbuild', 'netlink']);

/** What is wrong with the packages that are named in a package-lock.json. */
export function problemsOf(packages: Record<string, Locked>, npmrc: string): string[] {
  const problems: string[] = [];
  if (!/^ignore-scripts=true$/m.test(npmrc)) problems.push('.npmrc does not say ignore-scripts=true');
  for (const [path, locked] of Object.entries(packages)) {
    if (path === '') continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const license = locked.license ?? unsaid[name];
    // `A OR B`: one of them will do.
    const choices = license?.replace(/^\((.*)\)$/, '$1').split(' OR ') ?? [];
    if (!choices.some((one) => licenses.has(one))) problems.push(`${name}: license ${license ?? 'not said'}`);
    if (locked.hasInstallScript && !unrun.has(name)) problems.push(`${name}: has a script for its installation`);
    // Without it: from the registry that npm is set up with, and with the sum below.
    if (locked.resolved !== undefined && !locked.resolved.startsWith('https://registry.npmjs.org/'))
      problems.push(`${name}: from ${locked.resolved}`);
    // npm does not know it of packages for other machines: they are not installed here.
    if (!locked.integrity?.startsWith('sha512-') && !(locked.optional && locked.integrity === undefined))
      problems.push(`${name}: no SHA-512 sum`);
  }
  return problems;
}

if (import.meta.main) {
  const project = join(import.meta.dirname, '..');
  const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const problems = problemsOf(packages, readFileSync(join(project, '.npmrc'), 'utf8'));
  for (const problem of problems) console.error(problem);
  console.log(
    `${Object.keys(packages).length - 1} packages: licenses, sums and scripts ${problems.length === 0 ? 'are in order' : 'are not'}`,
  );
  const audit = spawnSync('npm', ['audit', '--audit=true', '--package-lock-only'], { cwd: project, encoding: 'utf8' });
  const isAnswered = !/audit endpoint returned an error|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN/.test(audit.stderr);
  console.log(isAnswered ? audit.stdout.trim() : 'known vulnerabilities: the registry does not answer npm audit');
  process.exit(problems.length > 0 || (isAnswered && audit.status !== 0) ? 1 : 0);
}
