import type { Op } from './op.ts';

/**
 * Of the inverses of an ADD, those that concern the attachment alone. What pods share (the gateway's address, forwarding, the settings of
 * the bridge, the gateway of a VLAN) stays once it is made: another ADD may have found it there meanwhile and be counting on it.
 * A bridge that was made goes when it has no ports and nobody is at work on it; a VLAN's gateway is removed by verbs/gateway-reap.
 */
export function ownUndo(inverses: readonly Op[], hostVeth: string): Op[] {
  return inverses.filter((op) => {
    switch (op.op) {
      case 'masq.del':
      case 'spoofcheck.del':
      case 'bridge.reap':
        return true;
      case 'link.del':
        return op.in === 'container' || op.dev === hostVeth;
      default:
        return 'in' in op && op.in === 'container';
    }
  });
}
