import type { CommandOptions, Outcome } from './command.ts';
import type { Host } from './host.ts';

let made = 0;

/** A container's network namespace in a throwaway host. It goes with the host; `remove()` takes it away earlier. */
export class Container {
  readonly host: Host;
  readonly name: string;
  /** CNI_CONTAINERID: unique in this process. */
  readonly id: string;
  /** CNI_NETNS: valid inside the host only. */
  readonly netns: string;

  constructor(host: Host, name: string) {
    this.host = host;
    this.name = name;
    this.id = `${name}-${(++made).toString(16).padStart(12, '0')}`;
    this.netns = `/run/netns/${name}`;
    host.run(['ip', 'netns', 'add', name]);
  }

  /** The namespace as a path for this process: for in-process tests of kernel/. */
  get outerNetns(): string {
    return this.host.outer(this.netns);
  }

  /** Removes the namespace, as a runtime does when the pod has died before DEL. The kernel takes its pairs away in its own time, which is waited for. */
  remove(): void {
    const ends = (this.ip('link', 'show') as { link_index?: number }[]).flatMap(({ link_index }) => link_index ?? []);
    this.host.run(['ip', 'netns', 'del', this.name]);
    const isThere = () =>
      (this.host.ip('link', 'show') as { ifindex: number }[]).some(({ ifindex }) => ends.includes(ifindex));
    for (let tries = 0; tries < 100 && isThere(); tries++) this.host.run(['sleep', '0.05']);
  }

  #inside(argv: readonly string[]): string[] {
    // Not `ip netns exec`: that hides /sys and mounts /etc/netns over /etc.
    return ['nsenter', `--net=${this.netns}`, '--', ...argv];
  }

  /** Runs a command in the container's network; throws if it fails. Gives its stdout. */
  run(argv: readonly string[], options?: CommandOptions): string {
    return this.host.run(this.#inside(argv), options);
  }

  /** Runs a command in the container's network, whatever its exit status. */
  attempt(argv: readonly string[], options?: CommandOptions): Outcome {
    return this.host.attempt(this.#inside(argv), options);
  }

  /** Starts a command in the container's network without waiting for it: a server, a capture. */
  start(argv: readonly string[], options?: CommandOptions) {
    return this.host.start(this.#inside(argv), options);
  }

  /** `ip -j -details …` in the container, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of a foreign tool
  ip(...words: string[]): any {
    const text = this.run(['ip', '-json', '-details', ...words]);
    return text.trim() === '' ? [] : JSON.parse(text);
  }

  /** Reads a sysctl of the container: `sysctl('net/ipv4/conf/eth0/arp_notify')`. */
  sysctl(key: string): string {
    return this.run(['cat', `/proc/sys/${key}`]).trim();
  }

  /** True as soon as one ping is answered; tries for 5 seconds, so that IPv6 may finish duplicate address detection. */
  canReach(address: string, from?: string): boolean {
    const source = from ? ['-I', from] : [];
    return this.attempt(['ping', '-n', '-q', '-c1', '-w5', '-i0.2', ...source, address]).status === 0;
  }

  /** True if no ping is answered within a second. First make sure by other means that an answer was to be expected. */
  cannotReach(address: string, from?: string): boolean {
    const source = from ? ['-I', from] : [];
    return this.attempt(['ping', '-n', '-q', '-c1', '-W1', ...source, address]).status !== 0;
  }
}
