import { MessageType, RouteProtocol } from 'netlink/dist/rt/gen_structs.js';
import { Attributes, u32At } from '../netlink/attribute.ts';
import type { Reply } from '../netlink/message.ts';
import { routeProtocol } from '../plan/pod-routes/op.ts';

/** The links that matter: ours, and those to other nodes. */
export interface Interest {
  names: ReadonlySet<string>;
  indexes: ReadonlySet<number>;
}

/** struct rtmsg — linux/rtnetlink.h */
const protocolAt = 5;
const LENGTH_IFINFOMSG = 16; // linux/rtnetlink.h
const IFLA_IFNAME = 3; // linux/if_link.h
/** Of struct ndmsg as of struct ifaddrmsg — linux/neighbour.h, linux/if_addr.h */
const indexAt = 4;

/**
 * Whether a notification of the kernel may be of something that the agent looks after. Pods that come and go change links, addresses, neighbours
 * and routes of their own all the time, and a look at a large cluster's routes is not for nothing; what is passed over here is found within a minute.
 */
export function concerns({ type, body }: Pick<Reply, 'type' | 'body'>, { names, indexes }: Interest): boolean {
  const protocol = body[protocolAt];
  switch (type) {
    case MessageType.NEWROUTE:
      return protocol === routeProtocol;
    case MessageType.DELROUTE:
      // Somebody else's route that goes may have been in the way of one of ours; the kernel's own come and go with every link.
      return protocol !== RouteProtocol.KERNEL;
    case MessageType.NEWLINK:
    case MessageType.DELLINK:
      return names.has(new Attributes(body, LENGTH_IFINFOMSG).text(IFLA_IFNAME) ?? '');
    case MessageType.NEWNEIGH:
    case MessageType.DELNEIGH:
    case MessageType.NEWADDR:
    case MessageType.DELADDR:
      return indexes.has(u32At(body, indexAt));
    default:
      return false;
  }
}
