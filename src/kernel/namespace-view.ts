import type { SystemCalls } from '../linux/system-calls.ts';
import { TcpAttempt } from '../linux/tcp-attempt.ts';
import { getLinkStatistics, type LinkStatistics, parseLinkStatistics } from '../netlink/link-statistics.ts';
import { addressBytes } from '../netlink/nftables/address.ts';
import { getRouteTo, parseRouteChoice, type RouteChoice } from '../netlink/route-lookup.ts';
import type { LinkState } from '../plan/state.ts';
import { Netns } from './netns.ts';
import { readAddresses, readLink } from './observe.ts';

/** A network namespace to look into, a pod's or the host's own. Changes nothing. */
export class NamespaceView implements Disposable {
  private readonly home: Netns | undefined;
  private readonly netns: Netns;

  /** Without a path: the namespace that the process was started in. Throws CniError 4. */
  constructor(sys: SystemCalls, path?: string) {
    const home = Netns.own(sys);
    if (path === undefined) {
      this.netns = home;
      return;
    }
    this.home = home;
    try {
      this.netns = Netns.open(sys, path, home, true);
    } catch (error) {
      home[Symbol.dispose]();
      throw error;
    }
  }

  link = (dev: string): LinkState | undefined => readLink(this.netns, dev);

  prefixes = ({ index }: LinkState): string[] => readAddresses(this.netns, index).map(({ prefix }) => prefix);

  /** Where a packet would go, or the errno that it is refused with. */
  route(dst: string, from?: { src: string; iif: number }): RouteChoice | { errno: number } {
    const { errno, replies } = this.netns.route.ask(getRouteTo(dst, from), { waitingFor: `the route to ${dst}` });
    const [reply] = replies;
    return errno !== 0 || !reply ? { errno } : parseRouteChoice(reply);
  }

  statistics(): Map<number, LinkStatistics> {
    const replies = this.netns.route.dump(getLinkStatistics(), { waitingFor: 'the counters of the links' });
    return new Map(replies.map(parseLinkStatistics).map((one) => [one.index, one]));
  }

  connect = (address: string, port: number): TcpAttempt =>
    this.netns.visit(() => new TcpAttempt(addressBytes(address), port));

  [Symbol.dispose](): void {
    this.netns[Symbol.dispose]();
    this.home?.[Symbol.dispose]();
  }
}
