import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { run } from '../support/command.ts';

/**
 * A directory tree that plays a Kubernetes node: busybox for its programs, so nothing but a POSIX shell and the usual
 * commands, no Node.js and no jq; loopback in /opt/cni/bin. Commands run in it by chroot.
 */
export class NodeTree {
  readonly root: string;

  constructor(t: { teardown(fn: () => unknown): void }, parent = tmpdir(), name = 'node-') {
    this.root = mkdtempSync(join(parent, name));
    t.teardown(() => rmSync(this.root, { recursive: true }));
    for (const dir of ['bin', 'dev', 'tmp', 'opt/cni/bin', 'etc/cni/net.d'])
      mkdirSync(this.path(dir), { recursive: true });
    run(['cp', '/bin/busybox', this.path('bin/busybox')]);
    const applets = run(['busybox', '--list'])
      .split('\n')
      .filter((applet) => /^[a-z]+$/.test(applet) && applet !== 'ip');
    for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', this.path(`bin/${applet}`));
    writeFileSync(this.path('dev/null'), '');
    this.program('opt/cni/bin/loopback', speaks('1.1.0'));
  }

  path(path: string): string {
    return join(this.root, path);
  }

  /** A shell script in the tree: the stand-in for a program. */
  program(path: string, script: string): void {
    writeFileSync(this.path(path), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  /** Every file outside /bin and /dev by its path, with mode and contents. */
  files(): Record<string, string> {
    const entries = readdirSync(this.root, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    const shown = files.map((file) => relative(this.root, file)).filter((file) => !/^(bin|dev|src)\//.test(file));
    return Object.fromEntries(
      shown.sort().map((file) => {
        const mode = (statSync(this.path(file)).mode & 0o7777).toString(8);
        return [file, `${mode} ${readFileSync(this.path(file), 'utf8')}`];
      }),
    );
  }
}

/** What plays a plugin: it answers VERSION. */
export const speaks = (version: string): string =>
  `[ "$CNI_COMMAND" != VERSION ] || echo '{"cniVersion":"${version}","supportedVersions":["0.4.0","1.0.0","${version}"]}'`;
