import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Server as Listener, Socket } from 'node:net';
import type { Host } from '../host.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { listenIn } from './listen.ts';
import type { NodeObject } from './node-object.ts';
import { failure, type Status, Store } from './store.ts';

/** One request, as the server took it. */
export interface Asked {
  verb: 'get' | 'list' | 'watch' | 'other';
  method: string;
  path: string;
  query: Record<string, string>;
  userAgent: string;
  status: number; // of the answer
}

interface Watch {
  response: ServerResponse;
  bookmarks: boolean;
  muted: boolean;
  /** The version that it goes on from: what is not later is none of its business either. */
  since: number;
  /** Asked for by a field selector: the others are none of its business. */
  only: string | undefined;
}

export interface ApiServerOptions {
  /** Where it listens; absent: in this process's own namespace. */
  host?: Pick<Host, 'inside'>;
  /** Addresses that clients know it by; the certificate is for them. */
  addresses?: string[];
  token?: string;
}

const collection = '/api/v1/nodes';

/** The name in a field selector, the only one that is known here. */
const onlyName = ({ fieldSelector }: Record<string, string>): string | undefined =>
  /^metadata\.name=(.+)$/.exec(fieldSelector ?? '')?.[1];

/**
 * As much of a Kubernetes API server as the routes between nodes need: TLS, a bearer token, and nodes to get, to list and to watch. It keeps
 * the rules that clients forget (a list may come in parts, a watch ends when it likes, versions are forgotten), does on request
 * what servers do on bad days, and remembers all that it was asked.
 *
 *     const api = await ApiServer.create(t);
 *     api.store.put(nodeObject('worker-1', { podCIDRs: ['10.244.1.0/24'], addresses: ['192.0.2.11'] }));
 */
export class ApiServer {
  readonly store = new Store();
  readonly certificates: Certificates;
  readonly addresses: string[];
  readonly asked: Asked[] = [];
  token: string;

  /** Each answer waits as long, in ms. */
  delayMs = 0;
  /** Requests are taken and never answered. */
  hanging = false;
  /** So many lists to come are empty, as of a server that has not read its store. */
  emptyLists = 0;
  /** What requests are answered with instead, while it is set. */
  failing: Status | undefined;
  /** How a watch of a forgotten version is told: servers do it either way. */
  goneAs: 'event' | 'status' = 'event';
  /** Lists have no more nodes than this in one part, whatever limit is asked for. */
  largestPart = Number.POSITIVE_INFINITY;

  port = 0;
  private server: Server | undefined;
  private readonly host: Pick<Host, 'inside'> | undefined;
  private readonly sockets = new Set<Socket>();
  private readonly watches = new Set<Watch>();
  private readonly parts = new Map<string, { version: number; rest: NodeObject[] }>();

  private constructor({ host, addresses = ['127.0.0.1'], token = 'token-of-the-agent' }: ApiServerOptions) {
    this.host = host;
    this.addresses = addresses;
    this.token = token;
    this.certificates = makeCertificates(['kubernetes.default.svc', ...addresses]);
    this.store.listen((event) => {
      const { type, object } = event;
      for (const watch of this.watches)
        if (event.version > watch.since && (watch.only === undefined || watch.only === object.metadata.name))
          this.send(watch, { type, object });
    });
  }

  static async create(t: { teardown(fn: () => unknown): void }, options: ApiServerOptions = {}): Promise<ApiServer> {
    const api = new ApiServer(options);
    t.teardown(() => api.stop());
    await api.start();
    return api;
  }

  /** Listens: at the same port as before, if there was one. */
  async start(): Promise<void> {
    const { cert, key } = this.certificates;
    const server = createServer({ cert, key }, (request, response) => void this.serve(request, response));
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    server.on('tlsClientError', () => {});
    server.keepAliveTimeout = 60_000;
    const where: Listener | { port: number; host: string } = this.host
      ? await listenIn(this.host, this.port)
      : { port: this.port, host: '127.0.0.1' };
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(where as Parameters<Server['listen']>[0], () => resolve());
    });
    const address = server.address() as { port: number };
    this.port = address.port;
    this.server = server;
  }

  /** Is gone: nobody listens, and connections are reset. */
  async stop(): Promise<void> {
    const server = this.server;
    if (!server) return;
    this.server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    this.dropConnections();
    await closed;
  }

  dropConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Ends the watches that are open, in good order, as a server does every few minutes. */
  endWatches(): void {
    for (const { response } of this.watches) response.end();
    this.watches.clear();
  }

  /** The watches that are open now never say anything again, and stay open: a connection that a router in between has forgotten. */
  muteWatches(): void {
    for (const watch of this.watches) watch.muted = true;
  }

  /** Sends every watch that asked for them a bookmark. */
  bookmark(): void {
    const metadata = { resourceVersion: String(this.store.version), creationTimestamp: null };
    const object = { kind: 'Node', apiVersion: 'v1', metadata, spec: {}, status: {} };
    for (const watch of this.watches) if (watch.bookmarks) this.send(watch, { type: 'BOOKMARK', object });
  }

  /** Sends this text to every watch, whatever it is. */
  sendRaw(text: string): void {
    for (const { response, muted } of this.watches) if (!muted) response.write(text);
  }

  get openWatches(): number {
    return [...this.watches].filter(({ muted }) => !muted).length;
  }

  /** What was asked beside get, list and watch of nodes, a line each: of a client that keeps to its rights, nothing. */
  get beyondRights(): string[] {
    return this.asked.filter(({ verb }) => verb === 'other').map(({ method, path }) => `${method} ${path}`);
  }

  /** The server's address as a client writes it. */
  url(address = this.addresses[0] ?? '127.0.0.1'): string {
    return `https://${address.includes(':') ? `[${address}]` : address}:${this.port}`;
  }

  /** A kubeconfig, with everything in it. */
  kubeconfig(address?: string, token = this.token): string {
    const cluster = {
      server: this.url(address),
      'certificate-authority-data': Buffer.from(this.certificates.ca).toString('base64'),
    };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster }],
      users: [{ name: 'agent', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'agent' } }],
      'current-context': 'test',
    });
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://localhost');
    const query = Object.fromEntries(url.searchParams);
    const { pathname: path } = url;
    const watches = query.watch === 'true' || query.watch === '1';
    const one = path.startsWith(`${collection}/`) && !path.slice(collection.length + 1).includes('/');
    const read = request.method === 'GET';
    const verb = read && path === collection ? (watches ? 'watch' : 'list') : read && one ? 'get' : 'other';
    const userAgent = request.headers['user-agent'] ?? '';
    const asked: Asked = { verb, method: request.method ?? '', path, query, userAgent, status: 200 };
    this.asked.push(asked);
    const answer = (body: object, status = 200) => {
      asked.status = status;
      if (!response.destroyed)
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const fail = (status: Status) => answer(status, status.code);

    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (this.hanging) return;
    if (this.failing) return fail(this.failing);
    if (request.headers.authorization !== `Bearer ${this.token}`)
      return fail(failure(401, 'Unauthorized', 'Unauthorized'));
    if (verb === 'other') return fail(failure(403, 'Forbidden', `${asked.method} ${path} is forbidden`));
    if (verb === 'list') return this.list(query, answer, fail);
    if (verb === 'watch') return this.watch(query, asked, response, answer);
    const name = decodeURIComponent(path.slice(collection.length + 1));
    const node = this.store.get(name);
    return node ? answer(node) : fail(failure(404, 'NotFound', `nodes "${name}" not found`));
  }

  private list(query: Record<string, string>, answer: (body: object) => void, fail: (status: Status) => void): void {
    let version = this.store.version;
    let rest: NodeObject[];
    if (query.continue) {
      const part = this.parts.get(query.continue);
      if (!part || this.store.isGone(part.version)) {
        fail(failure(410, 'Expired', 'The provided continue parameter is too old'));
        return;
      }
      ({ version, rest } = part);
    } else {
      const only = onlyName(query);
      rest = this.store.list().filter(({ metadata }) => only === undefined || metadata.name === only);
      if (this.emptyLists > 0) {
        this.emptyLists -= 1;
        rest = [];
      }
    }
    const size = Math.min(Number(query.limit) || Number.POSITIVE_INFINITY, this.largestPart);
    const metadata: Record<string, string> = { resourceVersion: String(version) };
    if (rest.length > size) {
      const token = `part-${version}-${this.parts.size}`;
      this.parts.set(token, { version, rest: rest.slice(size) });
      metadata.continue = token;
    }
    answer({ kind: 'NodeList', apiVersion: 'v1', metadata, items: rest.slice(0, size) });
  }

  private watch(
    query: Record<string, string>,
    asked: Asked,
    response: ServerResponse,
    answer: (body: object, status: number) => void,
  ): void {
    const since = Number(query.resourceVersion ?? 0);
    const gone = since > 0 && this.store.isGone(since);
    const expired = failure(410, 'Expired', `too old resource version: ${since} (${this.store.version})`);
    if (gone && this.goneAs === 'status') {
      answer(expired, 410);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (gone) {
      asked.status = 410;
      response.end(`${JSON.stringify({ type: 'ERROR', object: expired })}\n`);
      return;
    }
    const only = onlyName(query);
    const watch: Watch = { response, bookmarks: query.allowWatchBookmarks === 'true', muted: false, since, only };
    const first =
      since === 0 ? this.store.list().map((object) => ({ type: 'ADDED', object })) : this.store.after(since);
    for (const { type, object } of first)
      if (only === undefined || object.metadata.name === only) this.send(watch, { type, object });
    this.watches.add(watch);
    const seconds = Number(query.timeoutSeconds);
    const timer = seconds > 0 ? setTimeout(() => response.end(), seconds * 1000) : undefined;
    timer?.unref();
    response.once('close', () => {
      clearTimeout(timer);
      this.watches.delete(watch);
    });
  }

  private send(watch: Watch, event: object): void {
    if (!watch.muted) watch.response.write(`${JSON.stringify(event)}\n`);
  }
}
