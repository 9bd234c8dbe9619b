import type { Message, Outcome } from '../../netlink/message.ts';
import { getSet } from '../../netlink/nftables/set.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { NftWriter } from '../../netlink/nftables/writer.ts';
import type { Step } from '../nftables/transaction.ts';
import { TABLE } from './names.ts';

/**
 * Whether any host port is mapped at all, asked along with what a DEL asks anyway. Most nodes have none, and what knows more about them is not loaded
 * before it is known that there are (hostports/del.ts).
 */
export class HostPortLook implements Step {
  found = false;

  mark(): void {}

  questions(writer: NftWriter): Message[] {
    return [getSet(writer, NFPROTO.INET, TABLE, 'ports4'), getSet(writer, NFPROTO.INET, TABLE, 'ports6')];
  }

  hear(outcomes: readonly Outcome[]): void {
    this.found = outcomes.some(({ errno }) => errno === 0);
  }

  write(): void {}

  again(): boolean {
    return false;
  }
}
