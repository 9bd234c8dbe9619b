/**
 * Small servers and clients that run inside pods, nodes and the world outside, as processes of their own:
 *
 *     node probe.ts serve NAME PORT [ADDRESS]        TCP and UDP; answers each message with "PEER NAME MESSAGE"
 *     node probe.ts ask tcp|udp ADDRESS PORT WORD …  one session, one message a word; prints the answers, a line each
 *     node probe.ts dns-serve ADDRESS NAME=IP …      a name server on port 53 that knows A and AAAA of these names
 *     node probe.ts dns-ask SERVER NAME A|AAAA       prints the addresses, a line each
 *
 * A server prints "ready" when it listens on all its sockets. A client without an answer ends with status 1 after 4 s.
 */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, createServer, isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';

const patienceMs = 4000;

const [command, ...words] = process.argv.slice(2);
switch (command) {
  case 'serve':
    await serve(words[0] ?? '', Number(words[1]), words[2]);
    break;
  case 'ask':
    await (words[0] === 'tcp' ? askTcp : askUdp)(words[1] ?? '', Number(words[2]), words.slice(3));
    break;
  case 'dns-serve':
    await serveNames(words[0] ?? '::', new Map(words.slice(1).map((word) => word.split('=') as [string, string])));
    break;
  case 'dns-ask':
    await askName(words[0] ?? '', words[1] ?? '', words[2] as 'A' | 'AAAA');
    break;
  default:
    throw new Error(`unknown command: ${command}`);
}

/** ::ffff:10.0.0.1, as a dual-stack socket shows an IPv4 peer, without its prefix. */
function plain(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '');
}

async function serve(name: string, port: number, address = '::'): Promise<void> {
  const tcp = createServer((socket) => {
    const peer = plain(socket.remoteAddress);
    createInterface(socket).on('line', (line) => socket.write(`${peer} ${name} ${line}\n`));
    socket.on('error', () => {});
  });
  tcp.listen(port, address);
  await once(tcp, 'listening');
  const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  udp.on('message', (message: Buffer, from: RemoteInfo) => {
    udp.send(`${plain(from.address)} ${name} ${message}`, from.port, from.address);
  });
  udp.bind(port, address);
  await once(udp, 'listening');
  console.log('ready');
}

async function askTcp(address: string, port: number, messages: string[]): Promise<void> {
  const socket = connect(port, address);
  giveUpLater();
  await once(socket, 'connect');
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  for (const message of messages) {
    socket.write(`${message}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the session was closed');
    console.log(value);
  }
  process.exit(0);
}

async function askUdp(address: string, port: number, messages: string[]): Promise<void> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  giveUpLater();
  socket.connect(port, address);
  await once(socket, 'connect');
  for (const message of messages) {
    socket.send(message);
    const [answer] = await once(socket, 'message');
    console.log(String(answer));
  }
  process.exit(0);
}

function giveUpLater(): void {
  setTimeout(() => {
    console.error(`no answer within ${patienceMs} ms`);
    process.exit(1);
  }, patienceMs);
}

/** RFC 1035: answers questions for A (1) and AAAA (28) with one record, and for other names with NXDOMAIN (3). */
async function serveNames(address: string, names: Map<string, string>): Promise<void> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  socket.on('message', (query: Buffer, from: RemoteInfo) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length !== 0; length = query[at] ?? 0) {
      labels.push(query.toString('ascii', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = query.readUInt16BE(at + 1);
    const question = query.subarray(12, at + 5);
    const ip = names.get(labels.join('.').toLowerCase());
    const fits = ip !== undefined && (type === 28 ? isIPv6(ip) : type === 1 && !isIPv6(ip));
    const header = Buffer.alloc(12);
    header.writeUInt16BE(query.readUInt16BE(0), 0);
    header.writeUInt16BE(0x8580 | (ip === undefined ? 3 : 0), 2); // response, authoritative, recursion available
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(fits ? 1 : 0, 6);
    const answer = fits ? record(type, ip) : Buffer.alloc(0);
    socket.send(Buffer.concat([header, question, answer]), from.port, from.address);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  console.log('ready');
}

/** A resource record whose name is a pointer to the question's (RFC 1035 section 4.1.4), valid for 5 seconds. */
function record(type: number, ip: string): Buffer {
  const data = isIPv6(ip) ? ipv6Bytes(ip) : Buffer.from(ip.split('.').map(Number));
  const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 5, 0, data.length]);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(ip: string): Buffer {
  const [left = '', right = ''] = ip.split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const missing = 8 - groups(left).length - groups(right).length;
  const all = [...groups(left), ...Array<string>(missing).fill('0'), ...groups(right)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

async function askName(server: string, name: string, type: 'A' | 'AAAA'): Promise<void> {
  const resolver = new Resolver({ timeout: 1000, tries: 3 });
  resolver.setServers([isIPv6(server) ? `[${server}]` : server]);
  const addresses = await (type === 'A' ? resolver.resolve4(name) : resolver.resolve6(name));
  console.log(addresses.join('\n'));
  process.exit(0);
}
