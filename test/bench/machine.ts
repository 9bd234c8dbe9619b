import { globSync, readFileSync, statfsSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from './child.ts';
import { goPlugins } from './contender.ts';
import type { Machine } from './results.ts';

const root = resolve(import.meta.dirname, '../..');

/** statfs(2): f_type — linux/magic.h */
const fileSystems: Record<number, string> = {
  61267: 'ext4',
  16914836: 'tmpfs',
  1481003842: 'xfs',
  2435016766: 'btrfs',
};

/** What the figures were taken on. */
export function machine(workDir: string): Machine {
  const type = statfsSync(workDir).type;
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: /^[\d.]+/.exec(release())?.[0] ?? release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux',
    leaseFolder: fileSystems[type] ?? `file system ${type.toString(16)}`,
  };
}

/** The versions of what is compared. */
export function versions(): Record<string, string> {
  const json = (path: string) =>
    JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string };
  return {
    tsbridge: json('../../package.json').version,
    node: process.versions.node,
    quickjs: quickJsVersion(),
    'bridge, host-local': debianVersion(`${goPlugins}/bridge`) ?? 'unknown',
  };
}

/** The version of the QuickJS whose source the static build is made of, which is below build/. */
function quickJsVersion(): string {
  const [file] = globSync('build/static/quickjs/**/VERSION', { cwd: root });
  return file === undefined ? 'unknown' : readFileSync(join(root, file), 'utf8').trim();
}

/** The version of the Debian package that a file belongs to: the plugins themselves do not say. */
function debianVersion(file: string): string | undefined {
  const env = { PATH: process.env.PATH ?? '' };
  const owner = run({ argv: ['/usr/bin/env', 'dpkg-query', '-S', file], env }).stdout.split(':')[0];
  if (!owner) return undefined;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own format
  return run({ argv: ['/usr/bin/env', 'dpkg-query', '-W', '-f', '${Version}', owner], env }).stdout || undefined;
}
