/** A node as the API server has it, as far as anybody here looks at it. */
export interface NodeObject {
  apiVersion: 'v1';
  kind: 'Node';
  metadata: {
    name: string;
    uid?: string;
    resourceVersion?: string;
    creationTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    deletionTimestamp?: string;
  };
  spec: { podCIDR?: string; podCIDRs?: string[]; providerID?: string };
  status: { addresses?: { type: string; address: string }[] };
}

export interface NodeWords {
  podCIDRs?: string[];
  /** InternalIP addresses, of either family. */
  addresses?: string[];
  labels?: Record<string, string>;
}

/** A node object: podCIDR is the first of podCIDRs, as the API server has it, and the host name is among the addresses. */
export function nodeObject(name: string, { podCIDRs, addresses = [], labels = {} }: NodeWords = {}): NodeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', ...labels } },
    spec: podCIDRs?.[0] === undefined ? {} : { podCIDR: podCIDRs[0], podCIDRs },
    status: {
      addresses: [
        ...addresses.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: name },
      ],
    },
  };
}
