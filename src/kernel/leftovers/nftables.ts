import type { Attachment } from '../../cni/attachment.ts';
import { latin1 } from '../../linux/bytes.ts';
import { errno } from '../../linux/errno.ts';
import type { Message, Outcome } from '../../netlink/message.ts';
import { addressBytes } from '../../netlink/nftables/address.ts';
import { delChain, getChain } from '../../netlink/nftables/chain.ts';
import { delRule, getRules, ruleOf } from '../../netlink/nftables/rule.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import { sha512Hex } from '../iptables/sha512.ts';
import type { Answer, Dump, Step, Transaction } from '../nftables/transaction.ts';
import { ownChainsOf } from './iptables.ts';
import { hostPorts, isHostPorts, isIptables, isMasquerade, isSpoofCheck, masquerade, type Table } from './suspects.ts';

/** A private chain, and the base chain that jumps to it. */
interface Private extends Table {
  base: string;
  chain: string;
  words: string;
}

/** The private chains that the reference makes in a table, outermost first. */
function privateChains(table: Table, attachment: Attachment): Private[] {
  const { family, name } = table;
  if (isSpoofCheck(table)) {
    return spoofCheckChains(attachment).map((one) => ({
      family,
      name,
      base: 'PREROUTING',
      chain: one,
      words: `nft chain bridge nat ${one}`,
    }));
  }
  if (!isIptables(table)) return [];
  const words = family === NFPROTO.IPV4 ? 'iptables' : 'ip6tables';
  return ownChainsOf(attachment).map(({ base, chain }) => ({
    family,
    name,
    base,
    chain,
    words: `${words} chain ${chain}`,
  }));
}

/** The chains that check frames: that for the interface, and the one that it jumps to for the source address. */
export function spoofCheckChains({ containerID, ifname }: Attachment): string[] {
  const chain = `cni-br-iface-${containerID}-${ifname}`;
  return [chain, `${chain}-mac`];
}

/** How the comments of an attachment's rules begin: hashes of the network, and of the interface and container. */
export function commentStart({ network, containerID, ifname }: Attachment): string {
  const hash = (text: string) => sha512Hex(text).slice(0, 16);
  return `${hash(network)}-${hash(`${ifname}:${containerID}`)}`;
}

/**
 * Removes the reference's rules and chains of an attachment. Rules that iptables made are rules like all others, down to their handles;
 * of what they are made of only jumps matter here.
 */
export class GoRules implements Step {
  private readonly attachment: Attachment;
  private readonly tables: readonly Table[];
  private readonly addresses: readonly string[]; // that it has, without prefix length
  private readonly chains: Private[];
  private there: Private[] = [];
  private rules: (Table & { chain: string; handle: Uint8Array; words?: string })[] = [];

  constructor(attachment: Attachment, tables: readonly Table[], addresses: readonly string[]) {
    this.attachment = attachment;
    this.addresses = addresses;
    this.tables = tables;
    this.chains = tables.flatMap((table) => privateChains(table, attachment));
  }

  /** What was there, in words. */
  get removed(): string[] {
    return [...this.there, ...this.rules].flatMap(({ words }) => words ?? []);
  }

  questions(writer: NftWriter): Message[] {
    return this.chains.map(({ family, name, chain }) => getChain(writer, family, name, chain));
  }

  hear(outcomes: readonly Outcome[], dump: Dump): void {
    this.there = this.chains.filter((_, i) => outcomes[i]?.errno === 0);
    this.rules = [];
    const read = ({ family, name }: Table, chain: string) =>
      dump((writer) => getRules(writer, family, name, chain)).map(({ body }) => ruleOf(body));
    for (const { family, name, base, chain } of this.there) {
      for (const { handle, jumps } of read({ family, name }, base)) {
        if (jumps.includes(chain)) this.rules.push({ family, name, chain: base, handle });
      }
    }
    for (const table of this.tables) if (isHostPorts(table)) this.hearPorts(table, dump);
    const table = this.tables.find(isMasquerade);
    if (!table) return;
    const start = commentStart(this.attachment);
    for (const { handle, comment } of read(table, masquerade.chain)) {
      if (comment.startsWith(start)) {
        this.rules.push({
          ...table,
          chain: masquerade.chain,
          handle,
          words: `nft rule inet ${table.name}: ${comment}`,
        });
      }
    }
  }

  /** The container may have ports on another network, too: whose a rule is, the address in it tells. */
  private hearPorts({ family, name }: Table, dump: Dump): void {
    const own = this.addresses.map((address) => latin1(addressBytes(address)));
    for (const chain of hostPorts.chains) {
      for (const { body } of dump((writer) => getRules(writer, family, name, chain))) {
        const { handle, comment } = ruleOf(body);
        const bytes = latin1(body);
        if (comment !== this.attachment.containerID || !own.some((address) => bytes.includes(address))) continue;
        const words = `nft rule ${family === NFPROTO.IPV4 ? 'ip' : 'ip6'} ${name} ${chain}: ${comment}`;
        this.rules.push({ family, name, chain, handle, words });
      }
    }
  }

  write(tx: Transaction): void {
    tx.guard();
    for (const { family, name, chain, handle } of this.rules) {
      tx.push(this, 'rule', delRule(tx.writer, family, name, chain, handle));
    }
    // The outer chain goes first, with its jump to the inner one.
    for (const { family, name, chain } of this.there) {
      tx.push(this, 'chain', delChain(tx.writer, family, name, chain));
    }
  }

  again(answers: readonly Answer[]): boolean {
    return answers.every(({ outcome }) => outcome.errno === errno.ENOENT);
  }
}
