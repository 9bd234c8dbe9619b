import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { attempt } from '../support/command.ts';

const probe = [process.execPath, fileURLToPath(new URL('probe.ts', import.meta.url))];

/** Where a probe runs: the words before its own, as `host.inside`, `node.inside` and `insidePod` give them. */
export type Inside = (argv: readonly string[]) => string[];

/** A pod's network seen through its host: `inPod(host.inside, '/run/netns/pod1')`. */
export function inPod(inside: Inside, netns: string): Inside {
  return (argv) => inside(['nsenter', `--net=${netns}`, '--', ...argv]);
}

interface Teardown {
  teardown(fn: () => unknown): void;
}

/** Starts `probe.ts serve` and waits until it listens. It ends with the test. */
export function serve(t: Teardown, inside: Inside, name: string, port: number, address?: string): Promise<void> {
  return startServer(t, inside, ['serve', name, String(port), ...(address ? [address] : [])]);
}

/** Starts a name server on port 53: `serveNames(t, pod, '::', { 'web.test': '10.0.0.1' })`. */
export function serveNames(t: Teardown, inside: Inside, address: string, names: Record<string, string>): Promise<void> {
  const entries = Object.entries(names).map(([name, ip]) => `${name}=${ip}`);
  return startServer(t, inside, ['dns-serve', address, ...entries]);
}

function startServer(t: Teardown, inside: Inside, words: string[]): Promise<void> {
  // stdin is a pipe of this process: `sh` kills the server when it closes, even if this process is killed.
  const script = '"$@" </dev/null & server=$!; cat >/dev/null; kill $server';
  const [file = '', ...args] = inside(['sh', '-c', script, 'server', ...probe, ...words]);
  const child: ChildProcess = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  t.teardown(() => child.stdin?.end());
  child.unref();
  for (const stream of child.stdio) (stream as unknown as { unref?(): void } | null)?.unref?.();
  return new Promise((resolve, reject) => {
    const what = words.join(' ');
    let stderr = '';
    // Listening is what keeps this process waiting until the server is ready.
    const waiting = setTimeout(() => reject(new Error(`probe ${what} is not ready after 20 s: ${stderr}`)), 20_000);
    child.stderr?.on('data', (text) => {
      stderr += text;
    });
    child.stdout?.once('data', () => {
      clearTimeout(waiting);
      resolve();
    });
    child.once('exit', () => reject(new Error(`probe ${what}: ${stderr}`)));
  });
}

/** What a server answered to the messages of one session: who it says the peer is, and its own name. */
export interface Answer {
  peer: string;
  server: string;
  message: string;
}

/** One session of a client; no answer is an empty list. */
export function ask(
  inside: Inside,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
  ...messages: string[]
): Answer[] {
  const words = ['ask', protocol, address, String(port), ...(messages.length > 0 ? messages : ['hello'])];
  const { status, stdout } = attempt(inside([...probe, ...words]));
  if (status !== 0) return [];
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [peer = '', server = '', ...rest] = line.split(' ');
      return { peer, server, message: rest.join(' ') };
    });
}

/** Who the server sees, or '' if nobody answered: for the many tests that ask only this. */
export function peerSeen(inside: Inside, protocol: 'tcp' | 'udp', address: string, port: number): string {
  return ask(inside, protocol, address, port)[0]?.peer ?? '';
}

/** The addresses that a name server gives; '' and the reason if it gives none. */
export function resolve(inside: Inside, server: string, name: string, type: 'A' | 'AAAA'): string {
  const { stdout, stderr } = attempt(inside([...probe, 'dns-ask', server, name, type]));
  return stdout.trim() || `no answer: ${/E[A-Z]+/.exec(stderr)?.[0] ?? stderr}`;
}
