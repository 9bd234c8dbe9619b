import type { NodeObject } from './node-object.ts';

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface StoredEvent {
  version: number;
  type: EventType;
  object: NodeObject;
}

/** What an answer says instead of objects: `kind: Status`. */
export interface Status {
  apiVersion: 'v1';
  kind: 'Status';
  status: 'Failure';
  code: number;
  reason: string;
  message: string;
}

export const failure = (code: number, reason: string, message: string): Status => ({
  apiVersion: 'v1',
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message,
});

/**
 * The nodes of a cluster with their history, as etcd keeps it: each change has a version of its own, a list is of one version, and who
 * knows a version may ask for all that came after it, until the history is compacted.
 */
export class Store {
  /** Of the latest change. An API server's first one is not 1: whoever counts on that is wrong. */
  version = 1000;
  /** What came before is forgotten. */
  private oldest = 1000;
  private readonly nodes = new Map<string, NodeObject>();
  private readonly history: StoredEvent[] = [];
  private readonly listeners = new Set<(event: StoredEvent) => void>();

  get names(): string[] {
    return [...this.nodes.keys()].sort();
  }

  get(name: string): NodeObject | undefined {
    return this.nodes.get(name);
  }

  /** Adds a node, or replaces the one of that name. */
  put(node: NodeObject): void {
    const { name } = node.metadata;
    const old = this.nodes.get(name);
    this.record(old ? 'MODIFIED' : 'ADDED', {
      ...node,
      metadata: {
        ...node.metadata,
        uid: node.metadata.uid ?? old?.metadata.uid ?? `uid-${name}-${this.version}`,
        // Each a second younger than the one before it. Nobody but the server says so.
        creationTimestamp:
          old?.metadata.creationTimestamp ??
          new Date(Date.UTC(2026, 0, 1, 0, 0, this.version)).toISOString().replace('.000', ''),
      },
    });
  }

  delete(name: string): void {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`no node ${name}`);
    this.record('DELETED', node);
  }

  /** Forgets the history: a watch from an earlier version and the rest of a list are 410 from now on. */
  compact(): void {
    this.version += 1;
    this.oldest = this.version;
    this.history.length = 0;
  }

  /** Is what it was some changes ago, as after a restore from a backup: versions that were given before are given again. */
  restore(changes: number): void {
    this.version -= changes;
    this.oldest = this.version;
    this.history.length = 0;
  }

  isGone(version: number): boolean {
    return version < this.oldest;
  }

  /** All nodes in the order of their names, as of now. */
  list(): NodeObject[] {
    return this.names.map((name) => this.nodes.get(name) as NodeObject);
  }

  after(version: number): StoredEvent[] {
    return this.history.filter((event) => event.version > version);
  }

  /** Calls for each change from now on, until the function that it gives is called. */
  listen(listener: (event: StoredEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private record(type: EventType, node: NodeObject): void {
    this.version += 1;
    const object = { ...node, metadata: { ...node.metadata, resourceVersion: String(this.version) } };
    if (type === 'DELETED') this.nodes.delete(node.metadata.name);
    else this.nodes.set(node.metadata.name, object);
    const event = { version: this.version, type, object };
    this.history.push(event);
    for (const listener of this.listeners) listener(event);
  }
}
