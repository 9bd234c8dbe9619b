import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../build/executable.ts';
import { run } from './run.ts';

/** A C compiler with the flags that make it compile for one processor and link with one C library. */
export interface Toolchain {
  name: string;
  cc: string;
  env: NodeJS.ProcessEnv;
  compile: string[];
  /** Puts the objects between what a program starts with and the libraries it ends with. */
  link: (objects: string[]) => string[];
}

interface Target {
  debian: string; // the architecture, in Debian's words
  triplet: string; // GNU's name, as in the compiler's
  gccPackage: string; // of a cross compiler
}
const targets: Record<Architecture, Target> = {
  x64: { debian: 'amd64', triplet: 'x86_64-linux', gccPackage: 'gcc-x86-64-linux-gnu' },
  arm64: { debian: 'arm64', triplet: 'aarch64-linux', gccPackage: 'gcc-aarch64-linux-gnu' },
};

/**
 * Makes static executables with musl, for any of our processors: gcc with the headers and the libc.a of Debian's package musl-dev. What
 * is missing and cannot be installed (scripts/setup, for root) is unpacked below `build`, by anyone. STATIC_CC, a compiler that links with
 * musl by itself, replaces all that, as `gcc` on Alpine Linux.
 * Throws with one sentence about what is needed where there is neither.
 */
export function staticToolchain(arch: Architecture, build: string): Toolchain {
  const flags = [...common, '-fno-pie', '-fno-asynchronous-unwind-tables'];
  const own = process.env.STATIC_CC;
  if (own) {
    return {
      name: `static-${arch}`,
      cc: own,
      env: process.env,
      compile: flags,
      link: (objects) => [...linking, '-static', ...objects, '-lm'],
    };
  }
  const target = targets[arch];
  const { cc, env } = gcc(arch, target, build);
  const musl = muslFolder(arch, target, build);
  const include = join(musl, 'usr/include', `${target.triplet}-musl`);
  const lib = (file: string) => join(musl, 'usr/lib', `${target.triplet}-musl`, file);
  const ownInclude = run(cc, ['-print-file-name=include'], { env }).trim();
  return {
    name: `static-${arch}`,
    cc,
    env,
    // Outline atomics ask glibc for what the processor can do.
    compile: [
      ...flags,
      '-nostdinc',
      '-isystem',
      include,
      '-isystem',
      ownInclude,
      ...(arch === 'arm64' ? ['-mno-outline-atomics'] : []),
    ],
    link: (objects) => [
      ...linking,
      '-static',
      '-nostdlib',
      lib('crt1.o'),
      lib('crti.o'),
      ...objects,
      lib('libc.a'),
      '-lgcc',
      lib('crtn.o'),
    ],
  };
}

/** For tests: the machine's own compiler and C library, with checks of every access to memory and of undefined behaviour. */
export function sanitizingToolchain(arch: Architecture): Toolchain {
  if (arch !== process.arch) throw new Error('with sanitizers only for the processor of this machine');
  const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];
  return {
    name: `sanitize-${arch}`,
    cc: 'gcc',
    env: process.env,
    compile: [...common, '-g', '-O1', ...sanitize],
    link: (objects) => [...sanitize, ...objects, '-lm', '-lpthread'],
  };
}

const common = ['-O2', '-ffunction-sections', '-fdata-sections', '-D_GNU_SOURCE'];
const linking = ['-no-pie', '-s', '-Wl,--gc-sections', '-Wl,--build-id=none', '-Wl,-z,noseparate-code'];

function gcc(arch: Architecture, target: Target, build: string): Pick<Toolchain, 'cc' | 'env'> {
  const isNative = arch === process.arch;
  const name = isNative ? 'gcc' : `${target.triplet}-gnu-gcc`;
  if (isInstalled(name)) return { cc: name, env: process.env };
  const packageName = isNative ? 'gcc' : target.gccPackage;
  const own = targets[process.arch as Architecture];
  const folder = unpacked(build, `gcc-${arch}`, own.debian, packageName);
  const bin = join(folder, 'usr/bin');
  const libraries = join(folder, 'usr/lib', `${own.triplet}-gnu`);
  return {
    cc: join(bin, name),
    // gcc finds its own files beside itself, the assembler and the linker by PATH.
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, LD_LIBRARY_PATH: libraries },
  };
}

function muslFolder(arch: Architecture, target: Target, build: string): string {
  const file = join('usr/lib', `${target.triplet}-musl`, 'libc.a');
  if (existsSync(join('/', file))) return '/';
  return unpacked(build, `musl-${arch}`, target.debian, 'musl-dev');
}

function unpacked(build: string, name: string, architecture: string, packageName: string): string {
  const folder = join(build, name);
  if (!existsSync(folder)) run(join(import.meta.dirname, 'unpack-packages'), [folder, architecture, packageName]);
  return folder;
}

const isInstalled = (program: string): boolean =>
  (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)));
