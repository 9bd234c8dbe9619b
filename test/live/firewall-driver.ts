/**
 * Carries out calls on the firewall, in a process of its own, so that a test can choose its network namespace.
 * stdin: JSON, a list of calls. stdout: JSON, what each gave or threw, and how long it took.
 */
import { readFileSync, writeSync } from 'node:fs';
import type { Attachment } from '../../src/cni/attachment.ts';
import { asCniError } from '../../src/cni/error.ts';
import { makeFirewall } from '../../src/kernel/firewall/firewall.ts';
import type { Firewall, FirewallOp } from '../../src/kernel/firewall/port.ts';
import {
  iptablesMasqAdd,
  iptablesMasqCheck,
  iptablesMasqDel,
  type MasqAddress,
} from '../../src/kernel/iptables/masquerade.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';
import { NetlinkSocket, protocol } from '../../src/netlink/socket.ts';

export type Call =
  | { call: 'apply'; ops: FirewallOp[] }
  | { call: 'masqueraded'; network: string; address?: string }
  | { call: 'spoofChecked'; dev: string }
  | { call: 'usable' }
  | { call: 'removeGoLeftovers'; attachment: Attachment }
  | { call: 'iptablesAdd'; attachment: Attachment; addresses: MasqAddress[] }
  | { call: 'iptablesDel'; attachment: Attachment; addresses: string[] }
  | { call: 'iptablesCheck'; attachment: Attachment; addresses: string[] };

export interface Given {
  value?: unknown;
  error?: { code: number; msg: string; details: string | undefined };
  ms: number;
}

using socket = NetlinkSocket.open(systemCalls, protocol.NETFILTER);
const firewall: Firewall = makeFirewall(() => socket);
const messages = (errors: readonly Error[]) => errors.map(({ message }) => message);

async function carryOut(call: Call): Promise<unknown> {
  switch (call.call) {
    case 'apply':
      return firewall.apply(call.ops);
    case 'masqueraded':
      return firewall.masqueraded(call.network, call.address);
    case 'spoofChecked':
      return firewall.spoofChecked(call.dev) ?? null;
    case 'usable':
      return firewall.nftablesUsable();
    case 'removeGoLeftovers': {
      const { removed, errors } = (await firewall.removeGoLeftovers?.(call.attachment)) ?? { removed: [], errors: [] };
      return { removed, errors: messages(errors) };
    }
    case 'iptablesAdd':
      return await iptablesMasqAdd(call.attachment, call.addresses);
    case 'iptablesDel':
      return messages(await iptablesMasqDel(call.attachment, call.addresses));
    case 'iptablesCheck':
      return await iptablesMasqCheck(call.attachment, call.addresses);
  }
}

async function attempt(call: Call): Promise<Omit<Given, 'ms'>> {
  try {
    return { value: await carryOut(call) };
  } catch (error) {
    const { code, message, details } = asCniError(error);
    return { error: { code, msg: message, details } };
  }
}

const given: Given[] = [];
for (const call of JSON.parse(readFileSync(0, 'utf8')) as Call[]) {
  const start = performance.now();
  const outcome = await attempt(call);
  given.push({ ...outcome, ms: performance.now() - start });
}
writeSync(1, JSON.stringify(given));
