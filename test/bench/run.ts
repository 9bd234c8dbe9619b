import { spawn, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The bench runs in network and mount namespaces of its own, and with it every plugin that it starts. When it ends, however it ends, the
// kernel takes every interface, rule and named namespace with it; what the kernel does not take is removed out here.
if (process.env.TSBRIDGE_BENCH_WORK === undefined) {
  const work = mkdtempSync(join(process.env.BENCH_DIR ?? '/var/tmp', 'tsbridge-bench-'));
  const self = fileURLToPath(import.meta.url);
  const letGoOfMemory = keepMemory();
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
    letGoOfMemory();
    process.exitCode = status ?? 1;
  });
} else {
  const { bench } = await import('./bench.ts');
  await bench(process.env.TSBRIDGE_BENCH_WORK);
}

/**
 * Keeps the kernel of a virtual machine from giving memory back to its host meanwhile; which pages these would be is chance. A free page that
 * has been given back (mm/page_reporting.c) takes 15 microseconds to use again, twenty times as long; a file that DAMON has put out of memory
 * because nobody had used it for some minutes (mm/damon/) comes back in small pieces. Returns what lets it happen again.
 */
function keepMemory(): () => void {
  const settings = [
    { files: '/sys/module/page_reporting/parameters/page_reporting_order', off: '11' }, // above MAX_PAGE_ORDER, linux/mmzone.h
    { files: '/sys/kernel/mm/damon/admin/kdamonds/*/state', off: 'off' },
  ];
  const restore: (() => void)[] = [];
  for (const { files, off } of settings) {
    for (const file of globSync(files)) {
      const before = readFileSync(file, 'latin1').trim();
      if (before === off) continue;
      try {
        writeFileSync(file, off);
      } catch {
        continue; // a container's /sys, that is not to be written
      }
      restore.push(() => writeFileSync(file, before));
    }
  }
  return () => {
    for (const one of restore) one();
  };
}

/** Removes the instance of tracefs (tracing.ts) that a bench killed half-way has left. */
function forgetTracing(work: string, pid: number): void {
  const script = 'mount -t tracefs tracing "$1" && rmdir "$1/instances/tsbridge-bench-$2"';
  spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', work, `${pid}`]);
}
