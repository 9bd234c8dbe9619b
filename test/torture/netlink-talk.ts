import { prepared, type Stage, type Verb } from './stage.ts';

/** A netlink message, by its header. */
interface TalkMessage {
  type: number;
  flags: number;
  seq: number;
}

/** What was sent in one datagram, and what the kernel said to it. */
export interface Exchange {
  /** The nth sendto(2); undefined: another thread has sent it, and `answers` is one. */
  nth: number | undefined;
  isNetfilter: boolean;
  messages: TalkMessage[];
  /** Which of the answers that bring an errno, of all there are, the first of these is. */
  errorNth: number;
  answers: TalkMessage[];
}

/** All that a call and the kernel say to each other by netlink, in the main thread, recorded with strace(1). */
export async function netlinkTalkOf(stage: Stage, verb: Verb): Promise<Exchange[]> {
  const words = ['strace', '-qq', '-yy', '-e', 'trace=sendto,recvfrom', '-e', 'write=all', '-e', 'read=all'];
  await stage.play(`${prepared(verb)}\nvictim ${verb} b`, [...words, '-o', '/run/torture/talk']);
  const text = (await stage.play('cat /run/torture/talk\ncall DEL b'))[0]?.text ?? '';
  const exchanges: Exchange[] = [];
  let [sends, errors] = [0, 0];
  for (const entry of text.split(/^(?=sendto\(|recvfrom\()/m)) {
    const isRequest = entry.startsWith('sendto');
    if (isRequest) sends++;
    const messages = messagesIn(dumped(entry));
    const [first] = messages;
    if (!first || !/<NETLINK:/.test(entry)) continue;
    const last = exchanges.at(-1);
    if (isRequest) {
      const isNetfilter = messages.some(({ type }) => type >= 0x100);
      exchanges.push({ nth: sends, isNetfilter, messages, errorNth: errors + 1, answers: [] });
    } else if (last?.messages.some(({ seq }) => seq === first.seq)) last.answers.push(...messages);
    else if (first.type === NLMSG_ERROR)
      exchanges.push({ nth: undefined, isNetfilter: false, messages: [], errorNth: errors + 1, answers: [first] });
    if (!isRequest && first.type === NLMSG_ERROR) errors++;
  }
  return exchanges;
}

const NLMSG_ERROR = 2;

/** The bytes that strace shows below a call: " | 00010  01 00 …". */
function dumped(entry: string): Buffer {
  const lines = entry.matchAll(/^ \| [0-9a-f]{5,} {2}((?:[0-9a-f]{2} {1,2}){1,16})/gm);
  return Buffer.from(Array.from(lines, ([, hex = '']) => hex.replaceAll(' ', '')).join(''), 'hex');
}

function messagesIn(bytes: Buffer): TalkMessage[] {
  const messages: TalkMessage[] = [];
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < 16) break;
    const [type, flags] = [bytes.readUInt16LE(at + 4), bytes.readUInt16LE(at + 6)];
    messages.push({ type, flags, seq: bytes.readUInt32LE(at + 8) });
    at += (length + 3) & ~3;
  }
  return messages;
}
