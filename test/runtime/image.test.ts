/** deploy/Dockerfile, built and run by a container engine: what test/live/agent/deployed.test.ts tries without one. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { run } from '../support/command.ts';
import { agentContainer, deployFile } from '../support/manifest.ts';
import { missing } from '../support/requirements.ts';
import { onePlugin, type Plugin } from './plugin.ts';
import { Podman } from './podman.ts';
import { RuntimeNode } from './runtime-node.ts';

t.setTimeout(180_000);

t.test('the image', { skip: missing('podman', 'conmon', 'runc', 'ldd', 'gcc') }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'image-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const folder = run([fileURLToPath(new URL('../../scripts/image', import.meta.url)), join(directory, 'image')]).trim();
  const podman = Podman.create(await RuntimeNode.create(t, onePlugin[0] as Plugin));
  const { image, args, securityContext } = agentContainer();
  podman.run('build', '--quiet', '--tag', `docker.io/library/${image}`, '--file', deployFile('Dockerfile'), folder);
  const { drop, add } = securityContext.capabilities;
  const rights = [...drop.map((name) => `--cap-drop=${name}`), ...add.map((name) => `--cap-add=${name}`)];
  const start = (...words: string[]) =>
    podman.run(
      'run',
      '--rm',
      '--network=host',
      '--read-only',
      '--security-opt=no-new-privileges',
      ...rights,
      image,
      ...words,
    );
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  t.match(start('--version'), version);
  t.match(start(...args, '--help'), /--cluster-cidr/, 'the manifest starts the agent');
});
