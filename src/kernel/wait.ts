import { MulticastGroups } from 'netlink/dist/rt/gen_structs.js';
import { CniError, code } from '../cni/error.ts';
import { nowMs } from '../linux/clock.ts';
import type { SystemCalls } from '../linux/system-calls.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import type { Netns } from './netns.ts';
import { readAddresses, readLink } from './observe.ts';

const IF_OPER_UP = 6; // linux/if.h, as are the names
const operstates = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'];

/**
 * Looks, then listens and looks again at each notification: what happens between looking and listening is not missed.
 * `look` gives undefined when there is nothing more to wait for, and otherwise what is still missing.
 */
function waitFor(
  sys: SystemCalls,
  netns: Netns,
  group: number,
  timeoutMs: number,
  look: () => string | undefined,
): string | undefined {
  if (look() === undefined) return undefined;
  const deadline = nowMs() + timeoutMs;
  // NB: not `using`, whose helpers every call would evaluate.
  const socket = netns.visit(() => NetlinkSocket.listen(sys, protocol.ROUTE, group));
  try {
    while (true) {
      const missing = look();
      if (missing === undefined) return undefined;
      if (socket.notifications(deadline) === 'timeout') return look();
    }
  } finally {
    socket[Symbol.dispose]();
  }
}

/** Waits until the link carries traffic. Throws CniError 11 when it does not in time, 100 when there is no such link. */
export function waitForCarrier(sys: SystemCalls, netns: Netns, dev: string, timeoutMs: number): void {
  const missing = waitFor(sys, netns, MulticastGroups.LINK, timeoutMs, () => {
    const state = readLink(netns, dev);
    if (!state) throw new CniError(code.kernel, `waited for ${dev} to carry traffic, but it is gone`);
    if (state.operstate === IF_OPER_UP) return undefined;
    return `operstate ${operstates[state.operstate] ?? state.operstate}, ${state.up ? 'up' : 'down'}`;
  });
  if (missing === undefined) return;
  throw new CniError(
    code.tryAgainLater,
    `bridge port in error state: ${dev} does not carry traffic after ${timeoutMs} ms`,
    {
      details: `${dev} has ${missing}: the other end may be down, or somebody else may have changed it (ip link show ${dev})`,
    },
  );
}

/** Waits until no IPv6 address of the link is tentative. Throws CniError 11 when one still is in time, 102 when one is a duplicate. */
export function waitForDad(sys: SystemCalls, netns: Netns, dev: string, timeoutMs: number): void {
  const index = netns.indexes.get(dev) ?? readLink(netns, dev)?.index;
  if (index === undefined) throw new CniError(code.kernel, `waited for the addresses of ${dev}, but it is gone`);
  const missing = waitFor(sys, netns, MulticastGroups.IPV6_IFADDR, timeoutMs, () => {
    const addresses = readAddresses(netns, index).filter(({ family }) => family === 6);
    const duplicate = addresses.find(({ dadFailed }) => dadFailed);
    if (duplicate) {
      throw new CniError(code.conflict, `${duplicate.prefix} on ${dev} is in use by somebody else in the network`, {
        details: 'duplicate address detection (RFC 4862) was answered: give the address back or find who else has it',
      });
    }
    const tentative = addresses.filter((address) => address.tentative).map(({ prefix }) => prefix);
    return tentative.length > 0 ? tentative.join(', ') : undefined;
  });
  if (missing === undefined) return;
  throw new CniError(code.tryAgainLater, `${dev} still has tentative addresses after ${timeoutMs} ms: ${missing}`, {
    details: 'duplicate address detection (RFC 4862) has not ended: is the link up?',
  });
}
