import { putText, text, utf8Length } from '../../linux/bytes.ts';

/**
 * Comments as nft keeps them, in userdata: type, length and value, one byte, one byte, a string with its NUL. The type is 0 in rules
 * (NFTNL_UDATA_RULE_COMMENT), set elements and tables alike: libnftnl/udata.h. The kernel stores userdata without looking at it.
 */
const COMMENT = 0;

/** A comment of more bytes is cut: NFT_USERDATA_MAXLEN is 256 (linux/netfilter/nf_tables.h), and nft reads back no more than 128. */
const longest = 250;

/** The userdata that holds a comment. What nft's syntax cannot hold between quotes (which know no escape) is written as in a URL: %22. */
export function commentData(comment: string): Uint8Array {
  const written = needsEscape(comment) ? escaped(comment) : comment;
  const data = new Uint8Array(Math.min(utf8Length(written), longest) + 3);
  data[0] = COMMENT;
  data[1] = data.length - 2;
  putText(data.subarray(0, data.length - 1), 2, written);
  return data;
}

const quote = 0x22;
const percent = 0x25;
const mustBeEscaped = (unit: number) => unit < 0x20 || unit === quote || unit === percent || unit === 0x7f;

/** A loop, because the first regular expression of a process costs as much as the rest of a transaction. */
function needsEscape(comment: string): boolean {
  for (let i = 0; i < comment.length; i++) if (mustBeEscaped(comment.charCodeAt(i))) return true;
  return false;
}

function escaped(comment: string): string {
  let text = '';
  for (const one of comment) {
    const unit = one.charCodeAt(0);
    text += mustBeEscaped(unit) ? `%${unit.toString(16).padStart(2, '0')}` : one;
  }
  return text;
}

/** The comment in a piece of userdata; '' when it has none. */
export function commentOf(data: Uint8Array | undefined): string {
  if (!data) return '';
  for (let at = 0; at + 2 <= data.length; ) {
    const length = data[at + 1] as number;
    if (data[at] === COMMENT) {
      const end = data.indexOf(0, at + 2);
      const comment = text(data, at + 2, end < 0 ? at + 2 + length : end);
      if (!comment.includes('%')) return comment;
      return comment.replace(/%([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
    }
    at += 2 + length;
  }
  return '';
}
