import t from 'tap';
import { hostileParsers, netlinkAnswer, parses } from '../../torture/hostile-parsers.ts';

t.test('whatever a parser is given, it is understood or refused, soon, in the words of the protocol', async (t) => {
  for (const { what, ran, found } of await hostileParsers(4000)) t.equal(found, 'nothing', `${what}: ${ran}`);
});

/** Answers of netlink that were met with a defect or a wait, each by the fault that it showed. */
const answers = {
  'a datagram of one byte': [0],
  'a message whose length is beyond the datagram': [48, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
  'an extended ACK behind a request whose length is negative': [
    ...[24, 0, 0, 0, 2, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0, 0, 128],
  ],
};

t.test('answers that once were too much', async (t) => {
  for (const [what, bytes] of Object.entries(answers)) {
    t.doesNotThrow(() => parses(() => netlinkAnswer(Uint8Array.from(bytes))), what);
  }
});
