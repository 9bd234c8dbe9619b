import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { u64 } from '../linux/bytes.ts';
import { Attributes, u32At } from './attribute.ts';
import { beginRequest } from './attribute-writer.ts';
import type { Message, Reply } from './message.ts';

const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h
const IFLA_STATS64 = 23; // linux/if_link.h

/** What has gone through a link since it was made. struct rtnl_link_stats64, linux/if_link.h */
export interface LinkStatistics {
  index: number;
  received: { packets: number; bytes: number; errors: number; dropped: number };
  sent: { packets: number; bytes: number; errors: number; dropped: number };
}

/** `ip -s link show`, to be dumped. */
export function getLinkStatistics(): Message {
  const writer = beginRequest();
  for (let words = LENGTH_IFINFOMSG / 4; words > 0; words--) writer.word(0);
  return { type: MessageType.GETLINK, flags: 0, body: writer.end() };
}

/** The counters in an RTM_NEWLINK. */
export function parseLinkStatistics({ body: bytes }: Pick<Reply, 'body'>): LinkStatistics {
  const counters = new Attributes(bytes, LENGTH_IFINFOMSG).value(IFLA_STATS64);
  // rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped
  const at = (i: number) => (counters ? u64(counters, 8 * i) : 0);
  return {
    index: u32At(bytes, 4),
    received: { packets: at(0), bytes: at(2), errors: at(4), dropped: at(6) },
    sent: { packets: at(1), bytes: at(3), errors: at(5), dropped: at(7) },
  };
}
