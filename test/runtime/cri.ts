import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { decode, encode, type Fields, message, number, type Part, text } from './protobuf.ts';

/** A pod as the kubelet describes it to the runtime. */
export interface Pod {
  name: string;
  namespace: string;
  uid: string;
  attempt?: number;
  annotations?: Record<string, string>;
  portMappings?: { protocol?: 'TCP' | 'UDP'; containerPort: number; hostPort: number; hostIp?: string }[];
  dnsServers?: string[];
}

export interface PodStatus {
  id: string;
  state: 'ready' | 'notready';
  ips: string[]; // the first, then the additional ones
}

/** Protocol numbers of runtime.v1.Protocol. */
const protocols = { TCP: 0, UDP: 1 } as const;

/** A failed call: grpc-status (https://grpc.io/docs/guides/status-codes) and the runtime's words. */
export class CriError extends Error {
  readonly status: number;

  constructor(method: string, status: number, text: string) {
    super(`${method}: ${text}`);
    this.name = 'CriError';
    this.status = status;
  }
}

/**
 * The calls that the kubelet makes for a pod's sandbox, over the runtime's unix socket: gRPC is HTTP/2 with messages
 * of protobuf behind five bytes (compressed or not, length). Field numbers: k8s.io/cri-api, runtime/v1/api.proto.
 */
export class Cri implements Disposable {
  readonly #session: ClientHttp2Session;

  constructor(socket: string) {
    this.#session = connect('http://localhost', { createConnection: () => connectSocket(socket) });
    this.#session.on('error', () => {}); // every call under way fails of its own
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }

  async runPodSandbox(pod: Pod): Promise<string> {
    const response = await this.#call('RunPodSandbox', [[1, podSandboxConfig(pod)]]);
    return text(response, 1);
  }

  async podSandboxStatus(id: string): Promise<PodStatus> {
    const response = await this.#call('PodSandboxStatus', [[1, id]]);
    const status = message(response, 1);
    const network = message(status, 5);
    const additional = (network.get(2) ?? []).map((ip) => text(decode(ip as Uint8Array), 1));
    const ips = [text(network, 1), ...additional].filter((ip) => ip !== '');
    return { id: text(status, 1), state: number(status, 3) === 0 ? 'ready' : 'notready', ips };
  }

  async stopPodSandbox(id: string): Promise<void> {
    await this.#call('StopPodSandbox', [[1, id]]);
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.#call('RemovePodSandbox', [[1, id]]);
  }

  /** Ids of all sandboxes. */
  async listPodSandbox(): Promise<string[]> {
    const response = await this.#call('ListPodSandbox', []);
    return (response.get(1) ?? []).map((item) => text(decode(item as Uint8Array), 1));
  }

  /** The runtime's conditions: `{ RuntimeReady: true, NetworkReady: false }`. The kubelet asks every 5 seconds. */
  async status(): Promise<Record<string, boolean>> {
    const response = await this.#call('Status', []);
    const conditions = (message(response, 1).get(1) ?? []).map((item) => decode(item as Uint8Array));
    return Object.fromEntries(conditions.map((condition) => [text(condition, 1), number(condition, 2) === 1]));
  }

  #call(method: string, request: Part[]): Promise<Fields> {
    const body = encode(request);
    const frame = Buffer.alloc(5 + body.length);
    frame.writeUInt32BE(body.length, 1);
    body.copy(frame, 5);
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ':method': 'POST',
        ':path': `/runtime.v1.RuntimeService/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const chunks: Buffer[] = [];
      let status: [string, string] | undefined;
      const note = (headers: Record<string, unknown>) => {
        if ('grpc-status' in headers) status = [String(headers['grpc-status']), String(headers['grpc-message'] ?? '')];
      };
      stream.on('response', note); // an error without a body has its status here
      stream.on('trailers', note);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('close', () => {
        if (!status) return reject(new CriError(method, -1, 'the connection ended without a status'));
        if (status[0] !== '0') return reject(new CriError(method, Number(status[0]), decodeURIComponent(status[1])));
        resolve(decode(Buffer.concat(chunks).subarray(5)));
      });
      stream.end(frame);
    });
  }
}

function podSandboxConfig(pod: Pod): Part[] {
  const metadata: Part[] = [
    [1, pod.name],
    [2, pod.uid],
    [3, pod.namespace],
    [4, pod.attempt ?? 0],
  ];
  const ports = (pod.portMappings ?? []).map(
    ({ protocol = 'TCP', containerPort, hostPort, hostIp = '' }): Part => [
      5,
      [
        [1, protocols[protocol]],
        [2, containerPort],
        [3, hostPort],
        [4, hostIp],
      ],
    ],
  );
  const annotations = Object.entries(pod.annotations ?? {}).map(
    ([key, value]): Part => [
      7,
      [
        [1, key],
        [2, value],
      ],
    ],
  );
  const dns = (pod.dnsServers ?? []).map((server): Part => [1, server]);
  return [[1, metadata], [2, pod.name], [4, dns], ...ports, ...annotations, [8, []]];
}
