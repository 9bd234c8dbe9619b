import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Architecture, architectures } from '../../scripts/build/executable.ts';
import { fileOf } from '../../scripts/dist/licenses.ts';
import { makeTarball } from '../../scripts/dist.ts';
import { packagesOf } from '../../scripts/sbom.ts';
import { builds } from '../support/builds.ts';
import { attempt, run } from '../support/command.ts';
import { missing } from '../support/requirements.ts';

// What make dist makes of the executables of this machine's processor, and of the other one's where they were built (make all ARCH=arm64).

const built = (arch: Architecture) =>
  arch === process.arch || existsSync(join(import.meta.dirname, `../../bin/${arch}/tsbridge-static`));

for (const arch of architectures.filter(built)) {
  t.test(
    `the tarball for ${arch}`,
    { skip: builds.length < 2 ? 'NOT RUN: only one build is tested' : missing('tar') },
    async (t) => {
      const [folder, node] = [
        t.testdir({ first: {}, again: {}, node: { opt: { cni: { bin: {} } } } }),
        'node/opt/cni/bin',
      ];
      const tarball = makeTarball(arch, folder);
      const [first, again] = ['first', 'again'].map((name) =>
        readFileSync(makeTarball(arch, join(folder, name), ['static'])),
      );
      t.ok(first && again?.equals(first), 'made once more, it is the same bytes');
      run(['tar', '-xzf', tarball, '-C', folder]);
      const tree = tarball.replace(/\.tar\.gz$/, '');
      const files = readdirSync(tree, { recursive: true, encoding: 'utf8' }).filter((path) =>
        statSync(join(tree, path)).isFile(),
      );

      // As docs/operate.md has it.
      const sums = attempt(['sh', '-c', 'cd "$1" && sha256sum -c SHA256SUMS', 'sh', tree]);
      t.equal(sums.status, 0, sums.stderr);
      t.strictSame(
        sums.stdout.trimEnd().split('\n').sort(),
        files
          .filter((path) => path !== 'SHA256SUMS')
          .map((path) => `${path}: OK`)
          .sort(),
        'every file has its sum',
      );
      run(['install', '-m', '755', join(tree, 'tsbridge'), join(folder, node, 'tsbridge')]);

      for (const [name, kind] of [
        ['tsbridge', 'static'],
        ['tsbridge-node', 'pkg'],
      ] as const) {
        if (arch === process.arch) t.match(run([join(tree, name), '--version']), /^tsbridge \d/, name);
        const { metadata, components } = JSON.parse(readFileSync(join(tree, `${name}.cdx.json`), 'utf8'));
        const sum = run(['sha256sum', join(tree, name)]).slice(0, 64);
        t.equal(metadata.component.hashes[0].content, sum, `the bill of ${name} is of this file`);
        const inBill = components.map(({ name, version, group }: Record<string, string>) =>
          fileOf(`${group ? `${group}/` : ''}${name}@${version}`),
        );
        for (const one of packagesOf(kind, arch).keys()) {
          t.ok(inBill.includes(fileOf(one)), `${one} is in the bill`);
          t.ok(readFileSync(join(tree, 'licenses', fileOf(one)), 'utf8').length > 500, `and has its license`);
        }
      }
      for (const [name, words] of [
        ['quickjs', /Fabrice Bellard/],
        ['musl', /Rich Felker/],
        ['nodejs', /Node\.js is licensed/],
        ['ip-cidr', /brings no text of its license\. Its package\.json says: MIT, by Alexander Balasyan/],
      ] as const) {
        t.match(readFileSync(join(tree, 'licenses', name), 'utf8'), words, name);
      }
      t.match(run([join(tree, 'install-node'), '--help']), /^install-node \[--pod-cidr/);
      t.ok(
        ['tsbridge.8', 'tsbridge.bash', '_tsbridge', 'tsbridge.fish'].every((name) => files.includes(`share/${name}`)),
      );

      const seen = run(['tar', '-tvzf', tarball]).trimEnd().split('\n');
      t.ok(seen.length > 60);
      t.strictSame(
        seen.filter(
          (line) =>
            !/^[d-]rw(x?)r-\1r-\1 0\/0 /.test(line) && !/^(?:drwxr-xr-x|-rwxr-xr-x|-rw-r--r--) 0\/0 /.test(line),
        ),
        [],
        'files are of root, and writable by nobody else',
      );
      if (arch !== process.arch) return;
      const root = join(folder, 'node');
      const installed = attempt([join(tree, 'install-node'), '--pod-cidr', '10.244.1.0/24', '--root', root]);
      t.equal(installed.status, 0, installed.stderr);
      t.ok(existsSync(join(root, 'etc/cni/net.d/10-tsbridge.conflist')), 'install-node takes the executable beside it');
    },
  );
}
