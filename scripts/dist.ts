import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { project } from './build/bundle.ts';
import { type Architecture, architectures } from './build/executable.ts';
import { licenses } from './dist/licenses.ts';
import { billOf, type Kind } from './sbom.ts';
import { writeShare } from './share.ts';

// dist.ts [ARCH...]: a tarball for each processor in build/dist, of the executables that `make all ARCH=...` has built, and their sums. The same
// executables of the same commit give the same bytes: names are sorted, and times are the commit's.

const executables: { kind: Kind; built: string; name: string }[] = [
  { kind: 'static', built: 'tsbridge-static', name: 'tsbridge' },
  { kind: 'pkg', built: 'tsbridge', name: 'tsbridge-node' },
];

/** Where an executable is built. */
const builtAt = (arch: Architecture, name: string): string =>
  join(project, 'bin', ...(arch === process.arch ? [] : [arch]), name);

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Writes SHA256SUMS of these files of a folder, as sha256sum(1) reads it. */
function writeSums(folder: string, names: readonly string[]): void {
  writeFileSync(join(folder, 'SHA256SUMS'), names.map((name) => `${sha256(join(folder, name))}  ${name}\n`).join(''));
}

/** Seconds since 1970: SOURCE_DATE_EPOCH, or the commit's time. */
function commitTime(): number {
  if (process.env.SOURCE_DATE_EPOCH) return Number(process.env.SOURCE_DATE_EPOCH);
  const { status, stdout } = spawnSync('git', ['-C', project, 'log', '-1', '--format=%ct'], { encoding: 'utf8' });
  if (status !== 0) throw new Error('here is no commit: say SOURCE_DATE_EPOCH');
  return Number(stdout);
}

/**
 * Makes the tarball for one processor in `folder`, of all executables or of certain kinds, and gives its path. Throws when something that belongs into
 * it is missing.
 */
export function makeTarball(arch: Architecture, folder: string, kinds: readonly Kind[] = ['static', 'pkg']): string {
  const meant = executables.filter(({ kind }) => kinds.includes(kind));
  const name = `tsbridge-${packageJson.version}-linux-${arch}`;
  const tree = join(folder, name);
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(join(tree, 'licenses'), { recursive: true });

  for (const { kind, built, name: file } of meant) {
    const from = builtAt(arch, built);
    if (!existsSync(from)) throw new Error(`${from} is missing: make ${kind} ARCH=${arch}`);
    cpSync(from, join(tree, file));
    writeFileSync(join(tree, `${file}.cdx.json`), `${JSON.stringify(billOf(kind, from, arch), null, 2)}\n`);
  }
  for (const [file, text] of licenses(arch, kinds)) {
    writeFileSync(join(tree, 'licenses', file), text);
  }
  writeShare(join(tree, 'share'));
  cpSync(join(project, 'scripts/install-node'), join(tree, 'install-node'));
  for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md'])
    cpSync(join(project, file), join(tree, file));
  for (const part of ['conf', 'deploy', 'docs']) cpSync(join(project, part), join(tree, part), { recursive: true });
  writeFileSync(join(tree, 'INSTALL'), install);

  const programs = new Set(['install-node', ...meant.map((one) => one.name)]);
  const all = readdirSync(tree, { recursive: true, withFileTypes: true });
  for (const entry of all) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() || programs.has(entry.name) ? 0o755 : 0o644);
  }
  chmodSync(tree, 0o755);
  const files = all
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1));
  writeSums(tree, files.sort());
  chmodSync(join(tree, 'SHA256SUMS'), 0o644);

  const tarball = `${tree}.tar.gz`;
  const pack = `tar --create --sort=name --format=ustar --mtime="@$3" --owner=0 --group=0 --numeric-owner --directory "$1" "$2" | gzip -n >"$4"`;
  const { status, stderr } = spawnSync(
    'bash',
    ['-o', 'pipefail', '-c', pack, 'pack', folder, name, String(commitTime()), tarball],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`cannot make ${tarball}: ${stderr}`);
  rmSync(tree, { recursive: true });
  return tarball;
}

const install = `tsbridge ${packageJson.version}: what is here, and how it gets onto a node. docs/operate.md says more.

  sha256sum -c --quiet SHA256SUMS
  install -m 755 tsbridge /opt/cni/bin/tsbridge         the static build; it needs nothing of the node
  ./install-node --help                                 does that, and writes a network for the node's pods

tsbridge-node is the same program on Node.js. share/ has the manual page and completions: tsbridge.8 goes to /usr/local/share/man/man8, tsbridge.bash to
/usr/local/share/bash-completion/completions/tsbridge, _tsbridge to /usr/local/share/zsh/site-functions, tsbridge.fish to /etc/fish/completions.
The files *.cdx.json say what each executable consists of (CycloneDX), licenses/ under what licenses.
`;

if (import.meta.main) {
  const asked = process.argv.slice(2) as Architecture[];
  if (asked.some((arch) => !architectures.includes(arch))) {
    console.error(`usage: node scripts/dist.ts [${architectures.join('|')}]...`);
    process.exit(2);
  }
  const folder = join(project, 'build/dist');
  mkdirSync(folder, { recursive: true });
  const tarballs = (asked.length > 0 ? asked : architectures).map((arch) => makeTarball(arch, folder));
  writeSums(
    folder,
    tarballs.map((path) => basename(path)),
  );
  for (const path of [...tarballs, join(folder, 'SHA256SUMS')]) console.log(path);
}
