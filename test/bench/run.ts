import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

// The bench runs in network and mount namespaces of its own, and with it every plugin that it starts. When it ends, however it ends, the
// kernel takes every interface, rule and named namespace with it.
const self = fileURLToPath(import.meta.url);
if (process.env.TSBRIDGE_BENCH_INSIDE === undefined) {
  const { status } = spawnSync(
    'unshare',
    ['--net', '--mount', '--propagation', 'private', process.execPath, '--disable-warning=ExperimentalWarning', self],
    { stdio: 'inherit', env: { ...process.env, TSBRIDGE_BENCH_INSIDE: '1' } },
  );
  process.exitCode = status ?? 1;
} else {
  const { bench } = await import('./bench.ts');
  await bench();
}
