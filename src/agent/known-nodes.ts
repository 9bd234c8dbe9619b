import { type ClusterNode, isSameNode } from './node-object.ts';

/**
 * The nodes of the cluster, as far as they are known. That a node was deleted, an event says; that one is merely missing in a list may be the
 * list's mistake (a server restored from a backup, an empty cache after a restart). So what a list lacks is kept until a second list, at least
 * `delayMs` later, lacks it as well. Times are of a clock that never goes back.
 */
export class KnownNodes {
  private readonly self: string;
  private readonly delayMs: number;
  private nodes = new Map<string, ClusterNode>();
  /** Missing in the last list, since when. */
  private readonly missing = new Map<string, number>();
  private firstListMs: number | undefined;
  private confirmed = false;
  /** Another number whenever nodes are others than before. */
  version = 0;

  constructor(self: string, delayMs: number) {
    this.self = self;
    this.delayMs = delayMs;
  }

  /** A whole list. False: it lacks the own node, so it is no list to act on, and nothing has changed. */
  listed(nodes: readonly ClusterNode[], nowMs: number): boolean {
    if (!nodes.some(({ name }) => name === this.self)) return false;
    const next = new Map(nodes.map((node) => [node.name, node]));
    for (const [name, node] of this.nodes) {
      if (next.has(name)) continue;
      const since = this.missing.get(name) ?? nowMs;
      if (nowMs - since >= this.delayMs) continue;
      this.missing.set(name, since);
      next.set(name, node);
    }
    for (const name of this.missing.keys())
      if (nodes.some((node) => node.name === name) || !next.has(name)) this.missing.delete(name);
    this.nodes = next;
    this.version++;
    if (this.firstListMs === undefined) this.firstListMs = nowMs;
    else if (nowMs - this.firstListMs >= this.delayMs) this.confirmed = true;
    return true;
  }

  /** Says whether that makes a difference. */
  changed(node: ClusterNode): boolean {
    this.missing.delete(node.name);
    const before = this.nodes.get(node.name);
    if (before && isSameNode(before, node)) return false;
    this.nodes.set(node.name, node);
    this.version++;
    return true;
  }

  /** Says whether that makes a difference. The own node's object goes when somebody deletes it: what this machine has stays as it is. */
  deleted(name: string): boolean {
    this.missing.delete(name);
    if (name === this.self || !this.nodes.delete(name)) return false;
    this.version++;
    return true;
  }

  get own(): ClusterNode | undefined {
    return this.nodes.get(this.self);
  }

  all(): Iterable<ClusterNode> {
    return this.nodes.values();
  }

  get size(): number {
    return this.nodes.size;
  }

  /** Nodes that the last list did not have. */
  get held(): string[] {
    return [...this.missing.keys()];
  }

  /** Whether what no node explains may go: two lists have been of one mind about what there is, or there was nothing to ask for. */
  get isSure(): boolean {
    return this.confirmed;
  }

  /** There is nothing on this machine that no node explains: whatever goes from here on, an event has taken away. */
  confirm(): void {
    this.confirmed = true;
  }

  /** When to ask for another list, so as to be sure; undefined when there is no doubt. */
  nextListMs(hasUnexplained: boolean): number | undefined {
    const times = [...this.missing.values()];
    if (hasUnexplained && !this.confirmed && this.firstListMs !== undefined) times.push(this.firstListMs);
    return times.length === 0 ? undefined : Math.min(...times) + this.delayMs;
  }
}
