import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The bench runs in network and mount namespaces of its own, and with it every plugin that it starts. When it ends, however it ends, the
// kernel takes every interface, rule and named namespace with it; what the kernel does not take is removed out here.
if (process.env.TSBRIDGE_BENCH_WORK === undefined) {
  const work = mkdtempSync(join(process.env.BENCH_DIR ?? '/var/tmp', 'tsbridge-bench-'));
  const self = fileURLToPath(import.meta.url);
  const bench = spawn(
    'unshare',
    ['--net', '--mount', '--propagation', 'private', process.execPath, '--disable-warning=ExperimentalWarning', self],
    { stdio: 'inherit', env: { ...process.env, TSBRIDGE_BENCH_WORK: work } },
  );
  // The terminal sends SIGINT to both.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => bench.kill());
  bench.on('exit', (status, signal) => {
    if (signal) forgetTracing(work, bench.pid as number);
    rmSync(work, { recursive: true, force: true });
    process.exitCode = status ?? 1;
  });
} else {
  const { bench } = await import('./bench.ts');
  await bench(process.env.TSBRIDGE_BENCH_WORK);
}

/** Removes the instance of tracefs (tracing.ts) that a bench killed half-way has left. */
function forgetTracing(work: string, pid: number): void {
  const script = 'mount -t tracefs tracing "$1" && rmdir "$1/instances/tsbridge-bench-$2"';
  spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', work, `${pid}`]);
}
