import type { Container } from './container.ts';
import type { Host } from './host.ts';

/** Where packets come from or go to: a machine, or a container on it. */
export type Place = Host | Container;

/** A server that answers with its own name and the address that it sees: `pod saw 10.1.0.1`. */
const server = `
const [name, ...specs] = process.argv.slice(1);
const bare = (address) => address.replace('::ffff:', '');
let missing = specs.length;
const up = () => --missing || console.log('ready');
for (const spec of specs) {
  const [protocol, address, port] = spec.split(',');
  const isV6 = address.includes(':');
  if (protocol === 'udp') {
    const socket = require('node:dgram').createSocket({ type: isV6 ? 'udp6' : 'udp4', ipv6Only: isV6 });
    socket.on('message', (_, { address, port }) => socket.send(name + ' saw ' + bare(address), port, address));
    socket.bind(+port, address, up);
  } else {
    const answer = (socket) => socket.on('error', () => {}).end(name + ' saw ' + bare(socket.remoteAddress));
    require('node:net').createServer(answer).listen({ port: +port, host: address, ipv6Only: isV6 }, up);
  }
}
`;

/** Asks all at once, each once, and prints a line for each. */
const client = `
const ask = (spec) => new Promise((resolve) => {
  const [protocol, address, port, source = ''] = spec.split(',');
  const [localAddress, localPort] = source.split('@');
  const failed = ({ code }) => resolve(code === 'ECONNREFUSED' ? 'refused' : code);
  setTimeout(resolve, 3000, 'timeout').unref();
  if (protocol === 'udp') {
    const socket = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.on('error', failed).on('message', (data) => resolve(String(data)));
    const begin = () => socket.connect(+port, address, (error) => (error ? failed(error) : socket.send('?')));
    if (source) socket.bind(+localPort, localAddress, begin);
    else begin();
  } else {
    const from = source ? { localAddress, localPort: +localPort } : {};
    const socket = require('node:net').connect({ host: address, port: +port, ...from });
    socket.on('error', failed).on('data', (data) => resolve(String(data)));
  }
});
Promise.all(process.argv.slice(1).map(ask)).then((answers) => {
  console.log(answers.join('\\n'));
  process.exit();
});
`;

/** Serves `tcp,0.0.0.0,80` and the like until the test ends. */
export async function serve(
  t: { teardown(fn: () => unknown): void },
  place: Place,
  name: string,
  ...sockets: string[]
): Promise<void> {
  const started = place.start([process.execPath, '-e', server, name, ...sockets], { timeoutMs: 200_000 });
  t.teardown(() => started.kill());
  const itself = sockets.map((socket) => socket.replace(',0.0.0.0,', ',127.0.0.1,').replace(',::,', ',::1,'));
  for (let tries = 0; tries < 50; tries++) {
    if (ask(place, ...itself).every((answer) => answer.startsWith(name))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the server ${name} does not come up`);
}

/** The answers to questions `tcp,192.0.2.1,8080`, or with a source `udp,192.0.2.1,53,192.0.2.9@4000`: what was said, `refused` or `timeout`. */
export function ask(place: Place, ...questions: string[]): string[] {
  const answers = place.run([process.execPath, '-e', client, ...questions]);
  return answers.trimEnd().split('\n');
}
