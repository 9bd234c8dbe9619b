import type { CommandOptions, Started } from './command.ts';

/** What passes an interface, as tcpdump says it. */
export interface Capture {
  /** What was seen, once it matches all of these; or all that was seen, after `patienceMs`. The capture ends. */
  seen(patterns: RegExp[], patienceMs?: number): Promise<string>;
}

/** Begins to look at `dev` in the namespace of a host or container. Gives the capture when it does look, however long that takes to begin. */
export async function capture(
  where: { start(argv: readonly string[], options?: CommandOptions): Started },
  dev: string,
  ...filter: string[]
): Promise<Capture> {
  const tcpdump = where.start(['tcpdump', '-nn', '-l', '-U', '--immediate-mode', '-i', dev, ...filter]);
  if (!(await tcpdump.says(/listening on/))) throw new Error(`tcpdump: ${(await tcpdump.done).stderr}`);
  return {
    async seen(patterns, patienceMs = 5000) {
      await tcpdump.says((output) => patterns.every((pattern) => pattern.test(output)), patienceMs);
      tcpdump.kill('SIGTERM');
      return (await tcpdump.done).stdout;
    },
  };
}
