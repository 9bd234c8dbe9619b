import { createServer, type Server } from 'node:http';

/** What is asked of the agent from outside. */
export interface Answers {
  /** Why it is not well; '' when it is. */
  sick(): string;
  /** What is missing before pods can start; '' when nothing is. */
  unready(): string;
  metrics(): Promise<string>;
}

/** Serves /healthz, /readyz and /metrics on 127.0.0.1. Throws when the port is taken. */
export function serve(port: number, { sick, unready, metrics }: Answers): Promise<Server> {
  const paths: Record<string, () => Promise<[number, string]>> = {
    '/healthz': async () => state(sick()),
    '/readyz': async () => state(unready()),
    '/metrics': async () => [200, await metrics()],
  };
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0] ?? '';
    const answer = request.method === 'GET' || request.method === 'HEAD' ? paths[path] : undefined;
    (answer ?? (async (): Promise<[number, string]> => [404, `${Object.keys(paths).join('\n')}\n`]))()
      .then(([status, text]) => {
        response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
        response.end(text);
      })
      .catch(() => response.writeHead(500).end());
  });
  // Whoever connects and says nothing is not waited for.
  server.requestTimeout = 5000;
  server.headersTimeout = 5000;
  server.maxConnections = 64;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

const state = (problem: string): [number, string] => (problem === '' ? [200, 'ok\n'] : [503, `${problem}\n`]);
