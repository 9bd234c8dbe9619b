import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import type { Reply } from '../netlink/message.ts';
import { routeProtocol } from '../plan/pod-routes/op.ts';

/** struct rtmsg — linux/rtnetlink.h */
const protocolAt = 5;
/** struct ndmsg — linux/neighbour.h: state, and the one of permanent entries */
const stateAt = 8;
const NUD_PERMANENT = 0x80;

/**
 * Whether a notification of the kernel may be of something that the agent looks after. Pods that come and go change links, addresses and routes of
 * their own all the time; what is passed over here is found by the next look, within a minute.
 */
export function concerns({ type, body }: Pick<Reply, 'type' | 'body'>): boolean {
  switch (type) {
    case MessageType.NEWROUTE:
    case MessageType.DELROUTE:
      // Somebody else's route that goes may have been in the way of one of ours.
      return body[protocolAt] === routeProtocol || type === MessageType.DELROUTE;
    case MessageType.NEWNEIGH:
    case MessageType.DELNEIGH:
      return type === MessageType.DELNEIGH ? true : ((body[stateAt] ?? 0) & NUD_PERMANENT) !== 0;
    case MessageType.NEWLINK:
    case MessageType.DELLINK:
    case MessageType.NEWADDR:
    case MessageType.DELADDR:
      return true;
    default:
      return false;
  }
}
