// Undoes scripts/static/pack.ts: one block of the LZ4 format, which says "these bytes, then some from further up" again
// and again (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
#include <string.h>

#include "engine.h"

struct packed {
  const uint8_t *next;
  const uint8_t *end;
};

// Four bits of a token; 15 means that more is to come, in bytes up to the first that is not 255. Stops growing where
// the input ends.
static size_t read_length(struct packed *in, unsigned bits) {
  size_t length = bits;
  if (bits != 15)
    return length;
  uint8_t more = 255;
  while (more == 255 && in->next < in->end) {
    more = *in->next++;
    length += more;
  }
  return length;
}

size_t unpack(const uint8_t *packed, size_t length, uint8_t *bytes, size_t room) {
  struct packed in = {packed, packed + length};
  size_t written = 0;
  while (in.next < in.end) {
    unsigned token = *in.next++;
    size_t literals = read_length(&in, token >> 4);
    if (literals > (size_t)(in.end - in.next) || literals > room - written)
      return 0;
    memcpy(bytes + written, in.next, literals);
    in.next += literals;
    written += literals;
    if (in.next == in.end)
      return written; // the last one has literals only
    if (in.end - in.next < 2)
      return 0;
    size_t distance = in.next[0] | (size_t)in.next[1] << 8;
    in.next += 2;
    size_t match = read_length(&in, token & 15) + 4;
    if (distance == 0 || distance > written || match > room - written)
      return 0;
    for (; match > 0; match--, written++) // it may reach into what it writes
      bytes[written] = bytes[written - distance];
  }
  return 0;
}
