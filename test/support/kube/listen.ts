import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import type { Host } from '../host.ts';

/**
 * A socket that listens in another network namespace, for a server of this process. A socket stays in the namespace that it was made in,
 * whoever has it: so a program that is run there makes it and hands it over.
 *
 *     const socket = await listenIn(host, 0);
 *     https.createServer(…).listen(socket);
 */
export async function listenIn(host: Pick<Host, 'inside'>, port: number): Promise<Server> {
  const [file = '', ...words] = host.inside([process.execPath, import.meta.filename, String(port)]);
  const child = spawn(file, words, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  return new Promise<Server>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => reject(new Error(`cannot listen in the namespace: exit status ${status}`)));
    child.once('message', (_, handle) => {
      child.removeAllListeners('exit');
      child.send('taken'); // only now may it end: what is on its way would be lost
      resolve(handle as unknown as Server);
    });
  });
}

if (import.meta.main) {
  const server = createServer();
  process.once('message', () => process.exit(0));
  server.listen(Number(process.argv[2]), '::', () => process.send?.('listening', server));
}
