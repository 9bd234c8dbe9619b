import type { Interval } from '../../../netlink/nftables/address.ts';
import { delElements, newElements } from '../../../netlink/nftables/set.ts';
import type { Step, Transaction } from '../../nftables/transaction.ts';
import { intervalElements, intervalId, joinOverlapping, prefixIntervals } from '../masquerade.ts';
import { TABLE } from '../names.ts';
import { FAMILY } from './layout.ts';

/** Pushes the prefixes that are not in a set of sources. The kernel refuses one that overlaps another (EEXIST): then all are written anew, joined. */
export function pushSources(
  tx: Transaction,
  step: Step,
  set: string,
  present: readonly Interval[],
  prefixes: readonly string[],
): void {
  const { writer } = tx;
  const wanted = joinOverlapping([...present, ...prefixIntervals(prefixes)]);
  const there = new Set(present.map(intervalId));
  const missing = wanted.filter((one) => !there.has(intervalId(one)));
  if (missing.length === 0) return;
  const isAnew = wanted.length - missing.length < present.length;
  if (isAnew) {
    tx.push(step, 'prefixes', delElements(writer, FAMILY, TABLE, set));
    tx.guard();
  }
  const added = isAnew ? wanted : missing;
  // An attribute is no longer than 64 KiB (struct nlattr, linux/netlink.h).
  for (let at = 0; at < added.length; at += 400) {
    const elements = intervalElements(added.slice(at, at + 400));
    tx.push(step, 'prefixes', newElements(writer, FAMILY, TABLE, set, elements));
  }
}
