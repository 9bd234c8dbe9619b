import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { formatIp, ipFromBytes, ipToBytes } from '../ip/address.ts';
import { lastOf, type Prefix } from '../ip/prefix.ts';
import type { AddressState } from '../plan/state.ts';
import { Attributes, u32At } from './attribute.ts';
import { type AttributeWriter, beginRequest } from './attribute-writer.ts';
import { type Message, NLM_F, type Reply } from './message.ts';

const AF = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
const LENGTH_IFADDRMSG = 8; // linux/if_addr.h

/** linux/if_addr.h */
const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8, TARGET_NETNSID: 10 } as const;
const IFA_F = { NODAD: 0x02, DADFAILED: 0x08, TENTATIVE: 0x40, PERMANENT: 0x80 } as const;

/** Starts a request about an address: struct ifaddrmsg: u8 family, prefixlen, flags, scope, u32 index — linux/if_addr.h */
const begin = (index: number, family: number, length: number, flags = 0): AttributeWriter => {
  const writer = beginRequest();
  writer.byte(family);
  writer.byte(length);
  writer.byte(flags);
  writer.byte(0);
  writer.word(index);
  return writer;
};

/** `ip addr add PREFIX [brd +] dev DEV [nodad]`. `+`: the last address, for IPv4 prefixes that have room for one. RFC 3021: /31 has none. */
export const newAddress = (index: number, prefix: Prefix, nodad: boolean): Message => {
  const address = ipToBytes(prefix);
  const writer = begin(index, AF[prefix.family], prefix.length, nodad ? IFA_F.NODAD : 0);
  writer.bytes(IFA.LOCAL, address);
  writer.bytes(IFA.ADDRESS, address);
  if (prefix.family === 4 && prefix.length <= 30) writer.bytes(IFA.BROADCAST, ipToBytes(lastOf(prefix)));
  return { type: MessageType.NEWADDR, flags: NLM_F.CREATE | NLM_F.EXCL, body: writer.end() };
};

/** `ip addr del PREFIX dev DEV` */
export const deleteAddress = (index: number, prefix: Prefix): Message => {
  const address = ipToBytes(prefix);
  const writer = begin(index, AF[prefix.family], prefix.length);
  writer.bytes(IFA.LOCAL, address);
  writer.bytes(IFA.ADDRESS, address);
  return { type: MessageType.DELADDR, flags: 0, body: writer.end() };
};

/**
 * `ip addr show dev DEV`, to be dumped. Kernels before 4.20 give those of all links: filter again. `netnsId`: in the namespace that this
 * one knows by that number.
 */
export function getAddresses(index = 0, netnsId?: number): Message {
  const writer = begin(index, 0, 0);
  if (netnsId !== undefined) writer.u32(IFA.TARGET_NETNSID, netnsId);
  return { type: MessageType.GETADDR, flags: 0, body: writer.end() };
}

/** An address from an RTM_NEWADDR, or undefined for other families. */
export function parseAddressState({ body: bytes }: Pick<Reply, 'body'>): AddressState | undefined {
  const family = bytes[0];
  if (family !== AF[4] && family !== AF[6]) return undefined;
  const attrs = new Attributes(bytes, LENGTH_IFADDRMSG);
  // IFA_ADDRESS is the other end's on point-to-point links; IPv6 has IFA_LOCAL there only — linux/if_addr.h
  const address = attrs.value(IFA.LOCAL) ?? attrs.value(IFA.ADDRESS);
  if (!address) return undefined;
  const flags = attrs.u32(IFA.FLAGS) ?? (bytes[2] as number);
  const ip = ipFromBytes(address);
  return {
    prefix: `${formatIp(ip)}/${bytes[1]}`,
    family: ip.family,
    index: u32At(bytes, 4),
    scope: bytes[3] as number,
    tentative: (flags & IFA_F.TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F.DADFAILED) !== 0,
    ...(flags & IFA_F.PERMANENT ? {} : { dynamic: true }),
  };
}
