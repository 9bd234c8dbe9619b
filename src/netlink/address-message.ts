import {
  formatAddress,
  formatAddressAttrs,
  MessageType,
  parseAddress,
  parseAddressAttrs,
} from 'netlink/dist/rt/gen_structs.js';
import { formatIp, ipFromBytes, ipToBytes } from '../ip/address.ts';
import { lastOf, type Prefix } from '../ip/prefix.ts';
import type { AddressState } from '../kernel/state.ts';
import { body } from './attribute.ts';
import { type Message, NLM_F, type Reply } from './message.ts';

const AF = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
const LENGTH_IFADDRMSG = 8; // linux/if_addr.h

/** `ip addr add PREFIX [brd +] dev DEV [nodad]`. `+`: the last address, for IPv4 prefixes that have room for one. RFC 3021: /31 has none. */
export const newAddress = (index: number, prefix: Prefix, nodad: boolean): Message => {
  const address = Buffer.from(ipToBytes(prefix));
  const hasBroadcast = prefix.family === 4 && prefix.length <= 30;
  return {
    type: MessageType.NEWADDR,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: body(
      formatAddress({
        family: AF[prefix.family],
        prefixlen: prefix.length,
        index,
        flags: nodad ? { nodad: true } : {},
      }),
      formatAddressAttrs({
        local: address,
        address,
        ...(hasBroadcast ? { broadcast: Buffer.from(ipToBytes(lastOf(prefix))) } : {}),
      }),
    ),
  };
};

/** `ip addr del PREFIX dev DEV` */
export const deleteAddress = (index: number, prefix: Prefix): Message => {
  const address = Buffer.from(ipToBytes(prefix));
  return {
    type: MessageType.DELADDR,
    flags: 0,
    body: body(
      formatAddress({ family: AF[prefix.family], prefixlen: prefix.length, index }),
      formatAddressAttrs({ local: address, address }),
    ),
  };
};

/** `ip addr show dev DEV`, to be dumped. Kernels before 4.20 give those of all links: filter again. */
export const getAddresses = (index: number): Message => ({
  type: MessageType.GETADDR,
  flags: 0,
  body: body(formatAddress({ index })),
});

/** An address from an RTM_NEWADDR, or undefined for other families. */
export function parseAddressState({ body: bytes }: Pick<Reply, 'body'>): AddressState | undefined {
  const { family, prefixlen = 0, flags, scope = 0, index = 0 } = parseAddress(bytes.subarray(0, LENGTH_IFADDRMSG));
  if (family !== AF[4] && family !== AF[6]) return undefined;
  const attrs = parseAddressAttrs(bytes.subarray(LENGTH_IFADDRMSG));
  // IFA_ADDRESS is the other end's on point-to-point links; IPv6 has IFA_LOCAL there only — linux/if_addr.h
  const address = attrs.local ?? attrs.address;
  if (!address) return undefined;
  const { tentative, dadfailed } = attrs.flags ?? flags ?? {};
  const ip = ipFromBytes(address);
  return {
    prefix: `${formatIp(ip)}/${prefixlen}`,
    family: ip.family,
    index,
    scope,
    tentative: tentative === true,
    dadFailed: dadfailed === true,
  };
}
