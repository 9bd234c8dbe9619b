import http, { type IncomingMessage } from 'node:http';
import https, { type RequestOptions } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
// NB: not the whole client, whose other parts open terminals, copy files and make web sockets.
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { formatIp, parseIp } from '../ip/address.ts';
import { type ClusterNode, parseNode } from './node-object.ts';
import type { Settings } from './settings.ts';

/** What becomes of the Node objects. */
export interface NodeEvents {
  /** All of them. False: it is not believed, and asked for again. */
  listed(nodes: ClusterNode[]): boolean;
  changed(node: ClusterNode): void;
  deleted(name: string): void;
  /** Something has come from the API server. */
  alive(): void;
  failed(error: Error): void;
}

/** An answer that is no success. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

/** So many objects come at once: an object may be 20 kB, and all of an answer is in memory until it is read. */
const pageSize = 100;
/** Longer than any object that the API server would store (1.5 MB). */
const longestLine = 8 * 1024 * 1024;
const longestAnswer = 512 * 1024 * 1024;
const GONE = 410;
const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** An API server ends a watch of its own accord after that, so that watches spread over the servers. Seconds. */
const watchSeconds = { least: 240, most: 300 };

/**
 * Lists the nodes, watches them, and begins again whatever goes wrong, until it is aborted. The official client says how to reach the API
 * server and who is asking; the two requests are made here, page by page and line by line, since of an object of 20 kB a hundred bytes are kept.
 */
export class NodeFeed {
  private readonly settings: Settings;
  private readonly events: NodeEvents;
  private readonly signal: AbortSignal;
  private config: KubeConfig | undefined;
  private mustList = true;
  /** Of the last list or event: where to go on, however a watch has ended. */
  private version = '';
  private watching: AbortController | undefined;
  private watchedMs = 0; // how long the last watch was open
  private localAddress: string | undefined; // of the watch's connection
  /** The host in the address of the API server; it is remembered while that cannot be reached. */
  serverHost = '';

  constructor(settings: Settings, events: NodeEvents, signal: AbortSignal) {
    this.settings = settings;
    this.events = events;
    this.signal = signal;
  }

  /** Asks for all nodes anew. */
  relist(): void {
    this.mustList = true;
    this.watching?.abort();
  }

  /** The host has these addresses, as formatIp has them. A connection from one that it has no more is dead, and nobody says so. */
  hasAddresses(present: ReadonlySet<string>): void {
    const ip = parseIp(this.localAddress ?? '');
    if (ip && !present.has(formatIp(ip))) this.watching?.abort();
  }

  /** Goes on until the signal. */
  async run(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!this.signal.aborted) {
      this.watchedMs = 0;
      let isWell = true;
      try {
        if (this.mustList) await this.listAnew();
        await this.watch();
      } catch (error) {
        if (this.signal.aborted) return;
        isWell = false;
        if (isForgotten(error)) this.mustList = true;
        else {
          // What was read of files may have changed: certificates, the cluster's own address.
          this.config = undefined;
          this.events.failed(error as Error);
        }
      }
      // A watch that has lived is a server that answers, however it ended; one that ends every watch at once is not asked without end.
      if (this.watchedMs > 1000) {
        pauseMs = firstPauseMs;
        if (isWell) continue;
      }
      await this.pause(pauseMs);
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
  }

  private async listAnew(): Promise<void> {
    const { nodes, resourceVersion } = await this.list();
    if (!this.events.listed(nodes)) {
      throw new Error(`the list of ${nodes.length} nodes does not have ${this.settings.node}: it is not believed`);
    }
    this.mustList = false;
    this.version = resourceVersion;
  }

  /** All nodes, once. */
  async list(): Promise<{ nodes: ClusterNode[]; resourceVersion: string }> {
    const nodes: ClusterNode[] = [];
    for (let token = ''; ; ) {
      const query = new URLSearchParams({ limit: String(pageSize), ...(token === '' ? {} : { continue: token }) });
      const page = JSON.parse(await this.text(`/api/v1/nodes?${query}`)) as {
        kind?: unknown;
        items?: unknown;
        metadata?: { resourceVersion?: unknown; continue?: unknown };
      };
      // Whatever answers 200 need not be an API server.
      if (page?.kind !== 'NodeList') throw new Error('the answer is no list of nodes');
      for (const item of Array.isArray(page.items) ? page.items : []) {
        const node = parseNode(item);
        if (node) nodes.push(node);
      }
      this.events.alive();
      token = typeof page.metadata?.continue === 'string' ? page.metadata.continue : '';
      if (token === '') return { nodes, resourceVersion: String(page.metadata?.resourceVersion ?? '') };
    }
  }

  /** Watches until the server ends it. */
  private async watch(): Promise<void> {
    const { least, most } = watchSeconds;
    const query = new URLSearchParams({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.version,
      timeoutSeconds: String(Math.round(least + Math.random() * (most - least))),
    });
    this.watching = new AbortController();
    const { signal } = this.watching;
    let openedMs: number | undefined;
    try {
      const both = AbortSignal.any([signal, this.signal]);
      const response = await this.get(`/api/v1/nodes?${query}`, both, this.settings.watchIdleMs);
      openedMs = performance.now();
      this.localAddress = response.socket.localAddress;
      for await (const line of linesOf(response)) this.event(line);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.watching = undefined;
      this.localAddress = undefined;
      if (openedMs !== undefined) this.watchedMs = performance.now() - openedMs;
    }
  }

  /** Throws ApiError. */
  private event(line: string): void {
    const { type, object } = JSON.parse(line) as { type?: unknown; object?: Record<string, unknown> };
    this.events.alive();
    if (type === 'ERROR') {
      const { code, message } = object ?? {};
      throw new ApiError(typeof code === 'number' ? code : 500, `the watch ended: ${String(message)}`);
    }
    const { resourceVersion } = (object?.metadata ?? {}) as { resourceVersion?: unknown };
    if (typeof resourceVersion === 'string' && isOlder(resourceVersion, this.version)) {
      throw new ApiError(GONE, `the server went back from version ${this.version} to ${resourceVersion}`);
    }
    const node = type === 'BOOKMARK' ? undefined : parseNode(object);
    if (node && type === 'DELETED') this.events.deleted(node.name);
    else if (node && (type === 'ADDED' || type === 'MODIFIED')) this.events.changed(node);
    if (typeof resourceVersion === 'string') this.version = resourceVersion;
  }

  private async text(path: string): Promise<string> {
    const response = await this.get(path, this.signal, this.settings.apiTimeoutMs);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > longestAnswer) throw new Error(`the answer is longer than ${longestAnswer} bytes`);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** A response with status 200, whose next bytes are waited for at most `idleMs`. Throws ApiError for any other. */
  private async get(path: string, signal: AbortSignal, idleMs: number): Promise<IncomingMessage> {
    this.config ??= loadConfig(this.settings.kubeconfig);
    const server = this.config.getCurrentCluster()?.server;
    if (!server) throw new Error('the kubeconfig names no cluster: give --kubeconfig');
    this.serverHost = hostOf(server);
    const options: RequestOptions = { headers: { accept: 'application/json', 'user-agent': 'tsbridge-agent' }, signal };
    await this.config.applyToHTTPSOptions(options);
    const url = `${server.replace(/\/+$/, '')}${path}`;
    const client = url.startsWith('http:') ? http : https;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      let patienceMs = this.settings.apiTimeoutMs;
      const request = client.get(url, options, (answer) => {
        patienceMs = idleMs;
        request.setTimeout(idleMs);
        resolve(answer);
      });
      request.setTimeout(patienceMs);
      request.on('timeout', () => request.destroy(new Error(`nothing came for ${patienceMs / 1000} s`)));
      request.on('socket', (socket) => socket.setKeepAlive(true, 30_000));
      request.on('error', reject);
    });
    if (response.statusCode === 200) return response;
    const said = await firstBytes(response);
    throw new ApiError(response.statusCode ?? 0, `GET ${url.split('?')[0]}: ${response.statusCode} ${said}`);
  }

  /** Waits so long, or less: agents that lost the server together do not come back together. */
  private pause(ms: number): Promise<void> {
    return sleep(ms * (0.5 + Math.random() / 2), undefined, { signal: this.signal }).catch(() => {});
  }
}

/** Whether the server no longer has what came after our version, or does not have it yet, as one that was restored from a backup. */
const isForgotten = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.status === GONE || (error.status === 504 && /resource version/i.test(error.message)));

/** Versions of one server are numbers that grow. What is no number is not compared. */
const isOlder = (a: string, b: string): boolean => /^\d+$/.test(a) && /^\d+$/.test(b) && BigInt(a) < BigInt(b);

function hostOf(server: string): string {
  try {
    return new URL(server).hostname.replace(/^\[|\]$/g, '');
  } catch {
    return '';
  }
}

/** As a pod of the cluster, where there is one; the usual file otherwise. */
export function loadConfig(file: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (file !== undefined) config.loadFromFile(file);
  else if (process.env.KUBERNETES_SERVICE_HOST) config.loadFromCluster();
  else config.loadFromDefault();
  return config;
}

/** The lines of a response, as they come. */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8');
      rest = [];
      length = 0;
      from = end + 1;
      if (line.trim() !== '') yield line;
    }
    rest.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > longestLine) throw new Error(`an event is longer than ${longestLine} bytes`);
  }
}

/** What an error says, as far as a line of a log needs it. */
async function firstBytes(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8');
    if (text.length > 2000) break;
  }
  try {
    return String((JSON.parse(text) as { message?: unknown }).message);
  } catch {
    return text.slice(0, 200);
  }
}
