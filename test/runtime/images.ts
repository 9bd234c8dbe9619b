import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../support/command.ts';

/** What a pause container does: hold the pod's namespaces until it is told to end. */
const pauseSource = `
#include <signal.h>
#include <unistd.h>
static void end(int sig) { (void)sig; _exit(0); }
int main(void) {
  signal(SIGTERM, end);
  signal(SIGINT, end);
  for (;;) pause();
}
`;

const applets = ['sh', 'sleep', 'cat', 'ip', 'ping', 'nc', 'httpd', 'id', 'ifconfig'];

/**
 * Writes a docker-archive of two images made here, without a registry: localhost/tsbridge/busybox:1 (busybox-static) and
 * localhost/tsbridge/pause:1. `ctr images import` and `podman load` read it.
 */
export function makeImages(archive: string): void {
  const dir = mkdtempSync(join(tmpdir(), 'tsbridge-images-'));
  const at = (path: string) => join(dir, path);
  try {
    mkdirSync(at('busybox/bin'), { recursive: true });
    for (const name of ['etc', 'proc', 'sys', 'dev', 'tmp', 'run']) mkdirSync(at(`busybox/${name}`));
    run(['cp', '/bin/busybox', at('busybox/bin/busybox')]);
    for (const applet of applets) run(['ln', '-s', 'busybox', at(`busybox/bin/${applet}`)]);
    mkdirSync(at('pause'));
    run(['gcc', '-static', '-Os', '-o', at('pause/pause'), '-x', 'c', '-'], { stdin: pauseSource });
    const manifest = [image(dir, 'busybox', ['/bin/sh']), image(dir, 'pause', ['/pause'])];
    writeFileSync(at('manifest.json'), JSON.stringify(manifest));
    const members = ['manifest.json', 'busybox.json', 'busybox.tar', 'pause.json', 'pause.tar'];
    run(['tar', '--create', '--file', archive, '--directory', dir, ...members]);
  } finally {
    run(['rm', '-rf', dir]);
  }
}

/** One image: a layer of the directory NAME, and its configuration. Gives its entry of the manifest. */
function image(dir: string, name: string, command: string[]) {
  const layer = join(dir, `${name}.tar`);
  run([
    'tar',
    '--create',
    '--file',
    layer,
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '--directory',
    join(dir, name),
    '.',
  ]);
  const [diffId] = run(['sha256sum', layer]).split(' ');
  const config = {
    architecture: { x64: 'amd64' }[process.arch as string] ?? process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: command },
    rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
    history: [{ created_by: 'test/runtime/images.ts' }],
  };
  writeFileSync(join(dir, `${name}.json`), JSON.stringify(config));
  return { Config: `${name}.json`, RepoTags: [`localhost/tsbridge/${name}:1`], Layers: [`${name}.tar`] };
}
