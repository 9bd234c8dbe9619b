/**
 * Comments as nft keeps them, in userdata: type, length and value, one byte, one byte, a string with its NUL. The type is 0 in rules
 * (NFTNL_UDATA_RULE_COMMENT), set elements and tables alike: libnftnl/udata.h. The kernel stores userdata without looking at it.
 */
const COMMENT = 0;

/** A comment of more bytes is cut: NFT_USERDATA_MAXLEN is 256 (linux/netfilter/nf_tables.h), and nft reads back no more than 128. */
const longest = 250;

/** The userdata that holds a comment. What nft's syntax cannot hold between quotes (which know no escape) is written as in a URL: %22. */
export function commentData(comment: string): Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get into the listing
  const text = Buffer.from(comment.replace(/["%\x00-\x1f\x7f]/g, percent)).subarray(0, longest);
  const data = Buffer.alloc(text.length + 3);
  data[0] = COMMENT;
  data[1] = text.length + 1;
  data.set(text, 2);
  return data;
}

const percent = (one: string) => `%${one.charCodeAt(0).toString(16).padStart(2, '0')}`;

/** The comment in a piece of userdata; '' when it has none. */
export function commentOf(data: Buffer | undefined): string {
  if (!data) return '';
  for (let at = 0; at + 2 <= data.length; ) {
    const length = data[at + 1] as number;
    if (data[at] === COMMENT) {
      const text = data.toString('utf8', at + 2, at + 2 + length).replace(/\0.*$/s, '');
      return text.replace(/%([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
    }
    at += 2 + length;
  }
  return '';
}
