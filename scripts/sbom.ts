import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { project } from './build/bundle.ts';
import { type Architecture, nodePackages } from './build/executable.ts';

// A software bill of materials beside an executable, in CycloneDX: the packages that are in it, by esbuild's metafile of that very build, as `npm
// sbom` describes them, and what the executable is besides. The same executable gives the same bytes: there is no date, and the serial number follows
// from the contents.

/** A component of CycloneDX, as far as it is looked at. */
interface Component {
  'bom-ref': string;
  name: string;
  version: string;
  [key: string]: unknown;
}

interface Bom {
  components: Component[];
  dependencies?: unknown;
  serialNumber?: string;
  metadata: { component: Component; [key: string]: unknown };
  [key: string]: unknown;
}

export type Kind = 'pkg' | 'static';

const kinds = {
  pkg: { metafiles: () => ['build/node/meta.json', 'build/node/agent-meta.json'], engine: nodeComponents },
  static: {
    metafiles: (arch: Architecture) => [`build/static/tsbridge-static-static-${arch}/modules/meta.json`],
    engine: quickJsComponents,
  },
} satisfies Record<Kind, object>;

/** What npm knows of every package in package-lock.json. */
function everything(): Bom {
  const { status, stdout, stderr } = spawnSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], {
    cwd: project,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${stderr}`);
  return JSON.parse(stdout) as Bom;
}

function nodeComponents(all: readonly Component[], arch: Architecture): Component[] {
  const name = nodePackages[arch];
  const found = all.find((component) => component.name === name);
  if (!found) throw new Error(`${name} is not in package-lock.json`);
  return [{ ...found, type: 'platform', scope: 'required', description: 'Node.js, unchanged' }];
}

/** The tarball's name and sum are in the script that fetches it; musl is Debian's where dpkg knows it. */
function quickJsComponents(_: readonly Component[], arch: Architecture): Component[] {
  const script = readFileSync(join(project, 'scripts/static/fetch-quickjs'), 'utf8');
  const [, version = ''] = /^tarball=quickjs_(.+)\.orig\.tar/m.exec(script) ?? [];
  const [, sum = ''] = /^sha256=([0-9a-f]{64})$/m.exec(script) ?? [];
  if (version === '' || sum === '') throw new Error('scripts/static/fetch-quickjs does not say what it fetches');
  return [
    {
      'bom-ref': `quickjs@${version}`,
      type: 'platform',
      name: 'quickjs',
      version,
      scope: 'required',
      purl: `pkg:deb/debian/quickjs@${version}?arch=source`,
      description: 'QuickJS, unchanged, without what is not used',
      hashes: [{ alg: 'SHA-256', content: sum }],
      licenses: [{ license: { id: 'MIT' } }],
    },
    {
      'bom-ref': 'musl',
      type: 'library',
      name: 'musl',
      version: muslVersion(arch),
      scope: 'required',
      licenses: [{ license: { id: 'MIT' } }],
    },
  ];
}

/** Where the documents of Debian's package musl-dev are: on this machine, or where scripts/static/toolchain.ts has unpacked it. */
export function muslDocuments(arch: Architecture): string | undefined {
  const own = `/usr/lib/${arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-musl/libc.a`;
  const root = existsSync(own) ? '/' : join(project, `build/static/musl-${arch}`);
  const documents = join(root, 'usr/share/doc/musl-dev');
  return existsSync(documents) ? documents : undefined;
}

function muslVersion(arch: Architecture): string {
  const documents = muslDocuments(arch);
  if (documents === undefined) return 'not known';
  if (!documents.startsWith(project)) {
    const { status, stdout } = spawnSync('dpkg-query', ['-W', '-f', `\${Version}`, 'musl-dev'], { encoding: 'utf8' });
    if (status === 0) return stdout;
  }
  const { stdout } = spawnSync('zcat', [join(documents, 'changelog.Debian.gz')], { encoding: 'utf8' });
  return /^musl \(([^)]+)\)/.exec(stdout ?? '')?.[1] ?? 'not known';
}

/** The packages of which something is in a bundle: `name@version`, and the folder of each. */
function packagesIn({ outputs }: Metafile): Map<string, string> {
  const found = new Map<string, string>();
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path) ?? [];
      if (folder === undefined || bytesInOutput === 0) continue;
      const { name, version } = JSON.parse(readFileSync(join(project, folder, 'package.json'), 'utf8'));
      found.set(`${name}@${version}`, join(project, folder));
    }
  }
  return found;
}

/** The npm packages of which something is in the executables of a kind: `name@version`, and the folder of each. Throws when none was built. */
export function packagesOf(kind: Kind, arch: Architecture): Map<string, string> {
  const metafiles = kinds[kind].metafiles(arch).map((metafile) => {
    const path = join(project, metafile);
    if (!existsSync(path)) throw new Error(`${metafile} is missing: make ${kind} ARCH=${arch}`);
    return JSON.parse(readFileSync(path, 'utf8')) as Metafile;
  });
  return new Map(metafiles.flatMap((metafile) => [...packagesIn(metafile)]));
}

/** The bill of one executable. */
export function billOf(kind: Kind, executable: string, arch = process.arch as Architecture): Bom {
  const { engine } = kinds[kind];
  const used = packagesOf(kind, arch);
  const { components, dependencies: _, serialNumber: __, metadata, ...rest } = everything();
  const own = metadata.component;
  const packages = components
    .filter(({ name, version }) => used.has(`${name}@${version}`))
    .map((component) => ({ ...component, scope: 'required' }));
  if (packages.length !== used.size)
    throw new Error(`of ${[...used.keys()].join(', ')} not all are in package-lock.json`);
  const content = createHash('sha256').update(readFileSync(executable)).digest('hex');
  const bom = {
    ...rest,
    metadata: {
      component: { ...own, name: 'tsbridge', type: 'application', hashes: [{ alg: 'SHA-256', content }] },
    },
    components: [...packages, ...engine(components, arch)],
  };
  const digits = createHash('sha256').update(JSON.stringify(bom)).digest('hex');
  // RFC 9562, version 8: what follows from something.
  const uuid = `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
  return { ...bom, serialNumber: `urn:uuid:${uuid}` };
}

if (import.meta.main) {
  const [kind, executable = ''] = process.argv.slice(2);
  if ((kind !== 'pkg' && kind !== 'static') || executable === '') {
    console.error('usage: node scripts/sbom.ts pkg|static EXECUTABLE');
    process.exit(2);
  }
  const output = `${executable}.cdx.json`;
  writeFileSync(output, `${JSON.stringify(billOf(kind, executable), null, 2)}\n`);
  console.log(`${output}: what ${basename(executable)} consists of`);
}
