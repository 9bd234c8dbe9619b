import type { Op } from './op.ts';

/** The inverses of an ADD that are carried out when it fails. */
export interface OwnUndo {
  /** What concerns the attachment alone. */
  attachment: Op[];
  /** A bridge that was made, which goes last: when it has no ports and nobody is at work on it. */
  bridge: Op[];
}

/**
 * Of the inverses of an ADD, those that are its own. What pods share (the gateway's address, forwarding, the settings of the bridge, the
 * gateway of a VLAN) stays once it is made: another ADD may have found it there meanwhile and be counting on it. A VLAN's gateway is
 * removed by verbs/vlan-reap, before the bridge.
 */
export const ownUndo = (inverses: readonly Op[], hostVeth: string): OwnUndo => ({
  attachment: inverses.filter((op) => isOfAttachment(op, hostVeth)),
  bridge: inverses.filter(({ op }) => op === 'bridge.reap'),
});

function isOfAttachment(op: Op, hostVeth: string): boolean {
  switch (op.op) {
    case 'masq.del':
    case 'spoofcheck.del':
    case 'hostport.del':
      return true;
    case 'link.del':
      return op.in === 'container' || op.dev === hostVeth;
    default:
      return 'in' in op && op.in === 'container';
  }
}
