import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import { hex } from '../../../src/linux/bytes.ts';
import { nowMs } from '../../../src/linux/clock.ts';
import { errno } from '../../../src/linux/errno.ts';
import { NetlinkError } from '../../../src/netlink/error.ts';
import type { Message, Outcome } from '../../../src/netlink/message.ts';
import { NetlinkSocket, protocol } from '../../../src/netlink/socket.ts';
import { ack, done, fakeNetlink, message, type Received, type Seen } from '../../support/fake-netlink.ts';

const patience = { waitingFor: 'a test', timeoutMs: 20 };
const change = (type: number, body = Buffer.from([type, 0, 0, 0])): Message => ({ type, flags: 0x600, body });
const REQUEST = 1;
const ACK = 4;
const DUMP = 0x300;

function opened(answer: (requests: Seen[]) => Received[], protocolNumber: number = protocol.ROUTE) {
  const sys = fakeNetlink(answer);
  const socket = NetlinkSocket.open(sys, protocolNumber);
  sys.log.length = 0;
  t.teardown(() => socket[Symbol.dispose]());
  return { sys, socket };
}

const summary = (outcomes: Outcome[]) =>
  outcomes.map(({ replies, ...rest }) => ({
    ...rest,
    replies: replies.map(({ type, body }) => [type, hex(body)]),
  }));

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

t.test('open asks for extended ACKs, capped ACKs and, of rtnetlink, strict checking', async (t) => {
  const log = (protocolNumber: number) => {
    const sys = fakeNetlink(() => []);
    NetlinkSocket.open(sys, protocolNumber)[Symbol.dispose]();
    return sys.log;
  };
  t.strictSame(log(protocol.ROUTE), ['socket 0', 'setsockopt 11=1', 'setsockopt 10=1', 'setsockopt 12=1']);
  t.strictSame(log(protocol.NETFILTER), ['socket 12', 'setsockopt 11=1', 'setsockopt 10=1']);
});

t.test('several changes are one send and one recv: only the last asks for an ACK', async (t) => {
  let seen: Seen[] = [];
  const { sys, socket } = opened((requests) => {
    seen = requests;
    return [ack(requests[2] as Seen)];
  });
  const outcomes = socket.transact([change(16), change(20), change(24)], patience);
  t.strictSame(sys.log, ['send 3', 'recv']);
  t.strictSame(
    seen.map(({ type, flags }) => [type, flags]),
    [
      [16, 0x600 | REQUEST],
      [20, 0x600 | REQUEST],
      [24, 0x600 | REQUEST | ACK],
    ],
  );
  t.strictSame(
    outcomes.map(({ errno: number }) => number),
    [0, 0, 0],
  );
});

t.test('sequence numbers go on from one datagram to the next', async (t) => {
  const numbers: number[] = [];
  const { socket } = opened((requests) => {
    numbers.push(...requests.map(({ seq }) => seq));
    return [ack(requests.at(-1) as Seen)];
  });
  socket.transact([change(16), change(20)], patience);
  socket.transact([change(24)], patience);
  t.strictSame(numbers, [1, 2, 3]);
});

t.test('an error in the middle of a batch is that message’s, with the kernel’s reason; the rest is done', async (t) => {
  const { socket } = opened(([, second, third]) => [
    ack(second as Seen, errno.EEXIST, 'Address already assigned', 24),
    ack(third as Seen),
  ]);
  t.strictSame(summary(socket.transact([change(16), change(20), change(24)], patience)), [
    { errno: 0, replies: [] },
    { errno: errno.EEXIST, text: 'Address already assigned', offset: 24, replies: [] },
    { errno: 0, replies: [] },
  ]);
});

t.test('answers in one datagram are taken apart', async (t) => {
  const { sys, socket } = opened((requests) => [
    Buffer.concat([ack(requests[0] as Seen, errno.EINVAL), ack(requests[1] as Seen, errno.ENODEV, 'odd')]),
  ]);
  t.strictSame(summary(socket.transact([change(16), change(20)], patience)), [
    { errno: errno.EINVAL, replies: [] },
    { errno: errno.ENODEV, text: 'odd', replies: [] },
  ]);
  t.strictSame(sys.log, ['send 2', 'recv']);
});

t.test('a question at the end of a batch needs no ACK: its answer says that the rest is through', async (t) => {
  let flags: number[] = [];
  const { sys, socket } = opened((requests) => {
    flags = requests.map((request) => request.flags);
    return [message((requests[1] as Seen).seq, 16, 0, Buffer.from('01020304', 'hex'))];
  });
  const outcomes = socket.transact([change(16), { type: 18, flags: 0, body: Buffer.alloc(4), get: true }], patience);
  t.strictSame(flags, [0x600 | REQUEST, REQUEST]);
  t.strictSame(summary(outcomes), [
    { errno: 0, replies: [] },
    { errno: 0, replies: [[16, '01020304']] },
  ]);
  t.strictSame(sys.log, ['send 2', 'recv']);
});

t.test('an nfnetlink batch: BEGIN and END are quiet, and the last message between is acknowledged', async (t) => {
  const batch = (): Message[] => [
    { type: 16, flags: 0, body: Buffer.alloc(4), quiet: true },
    change(0x0a00),
    change(0x0a03),
    { type: 17, flags: 0, body: Buffer.alloc(4), quiet: true },
  ];
  await t.test('done', async (t) => {
    let flags: number[] = [];
    const { socket } = opened((requests) => {
      flags = requests.map((request) => request.flags);
      return [ack(requests[2] as Seen)];
    }, protocol.NETFILTER);
    t.strictSame(
      socket.transact(batch(), patience).map(({ errno: number }) => number),
      [0, 0, 0, 0],
    );
    t.strictSame(flags, [REQUEST, 0x600 | REQUEST, 0x600 | REQUEST | ACK, REQUEST]);
  });
  await t.test('the batch itself is refused, and the kernel says nothing about the rest', async (t) => {
    const { sys, socket } = opened((requests) => [ack(requests[0] as Seen, errno.EPERM)], protocol.NETFILTER);
    t.strictSame(
      socket.transact(batch(), patience).map(({ errno: number }) => number),
      [errno.EPERM, 0, errno.ECANCELED, 0],
    );
    t.notOk(sys.log.includes('poll'), 'without waiting for what will not come');
  });
});

t.test('a dump over several datagrams', async (t) => {
  const { sys, socket } = opened(([request]) => {
    const { seq, flags, type } = request as Seen;
    t.strictSame([type, flags], [18, REQUEST | DUMP]);
    return [
      Buffer.concat([
        message(seq, 16, 2, Buffer.from('aaaaaaaa', 'hex')),
        message(seq, 16, 2, Buffer.from('bbbbbbbb', 'hex')),
      ]),
      message(seq, 16, 2, Buffer.from('cccccccc', 'hex')),
      done(seq),
    ];
  });
  t.strictSame(
    socket.dump({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience).map(({ body }) => hex(body)),
    ['aaaaaaaa', 'bbbbbbbb', 'cccccccc'],
  );
  t.strictSame(sys.log, ['send 1', 'recv', 'recv', 'recv']);
});

t.test('a dump that was interrupted, or had no room, is begun again', async (t) => {
  for (const [name, spoil] of [
    ['NLM_F_DUMP_INTR on a message', (seq: number) => [message(seq, 16, 2 | 0x10, Buffer.alloc(4)), done(seq)]],
    ['NLM_F_DUMP_INTR on NLMSG_DONE', (seq: number) => [message(seq, 16, 2, Buffer.alloc(4)), done(seq, 0, 2 | 0x10)]],
    ['ENOBUFS', (seq: number) => [-errno.ENOBUFS, done(seq)]],
    ['a datagram longer than the buffer', (seq: number) => [message(seq, 16, 2, Buffer.alloc(80_000)), done(seq)]],
    [
      'one with the end in it',
      (seq: number) => [Buffer.concat([message(seq, 16, 2, Buffer.alloc(80_000)), done(seq)])],
    ],
    ['ENOBUFS for the end', () => [-errno.ENOBUFS]],
  ] as const) {
    let attempts = 0;
    const { socket } = opened(([request]) => {
      const { seq } = request as Seen;
      attempts++;
      return attempts === 1 ? [...spoil(seq)] : [message(seq, 16, 2, Buffer.alloc(30_000, 7)), done(seq)];
    });
    const replies = socket.dump({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience);
    t.strictSame(
      replies.map(({ body }) => body.length),
      [30_000],
      name,
    );
    t.equal(attempts, 2, name);
  }
});

t.test('a dump that is refused throws what the kernel said, whichever way it says so', async (t) => {
  for (const refuse of [
    (request: Seen) => ack(request, errno.EINVAL, 'Invalid header'),
    (request: Seen) => {
      const inner = ack(request, errno.EINVAL, 'Invalid header').subarray(16);
      // NLMSG_DONE: the errno, and the attributes right behind it
      return message(request.seq, 3, 2 | 0x200, Buffer.concat([inner.subarray(0, 4), inner.subarray(20)]));
    },
  ]) {
    const { socket } = opened(([request]) => [refuse(request as Seen)]);
    const error = thrownBy(() => socket.dump({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience));
    t.type(error, NetlinkError);
    t.match(error, { errno: errno.EINVAL, text: 'Invalid header', message: 'EINVAL: Invalid header' });
  }
});

t.test('the replies of a dump stay as they are while later datagrams arrive', async (t) => {
  const { socket } = opened(([request]) => {
    const { seq } = request as Seen;
    const datagrams = Array.from({ length: 9 }, (_, i) => message(seq, 16, 2, Buffer.alloc(20_000, i + 1)));
    return [...datagrams, done(seq)];
  });
  const replies = socket.dump({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience);
  t.strictSame(
    replies.map(({ body }) => [body.length, ...new Set(body)]),
    Array.from({ length: 9 }, (_, i) => [20_000, i + 1]),
  );
});

t.test('get gives the answer, or throws the refusal', async (t) => {
  const { socket } = opened(([request]) => [message((request as Seen).seq, 16, 0, Buffer.from('01020304', 'hex'))]);
  t.equal(hex(socket.get({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience).body), '01020304');
  const refusing = opened(([request]) => [ack(request as Seen, errno.ENODEV)]).socket;
  t.match(
    thrownBy(() => refusing.get({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience)),
    { errno: errno.ENODEV, text: undefined, message: 'ENODEV' },
  );
});

t.test('an answer to a get that did not fit is asked for again with more room', async (t) => {
  let attempts = 0;
  const { socket } = opened(([request]) => {
    attempts++;
    return [message((request as Seen).seq, 16, 0, Buffer.alloc(90_000, 9))];
  });
  t.equal(socket.get({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience).body.length, 90_000);
  t.equal(attempts, 2);
});

t.test('answers about changes that were lost are an error, not a guess', async (t) => {
  const { socket } = opened(() => [-errno.ENOBUFS]);
  t.match(
    thrownBy(() => socket.transact([change(16)], patience)),
    { code: 100, message: "the kernel's answer about a test was lost (lost)" },
  );
});

t.test(
  'a dump that is interrupted again and again is begun again after pauses that grow, until the time is over',
  async (t) => {
    let left = 20;
    const { sys, socket } = opened(([request]) => {
      const { seq } = request as Seen;
      return [message(seq, 16, left-- > 0 ? 2 | 0x10 : 2, Buffer.from('01020304', 'hex')), done(seq)];
    });
    const patient = { waitingFor: 'the links', timeoutMs: 5000 };
    t.equal(socket.dump({ type: 18, flags: 0, body: Buffer.alloc(4) }, patient).length, 1);
    t.strictSame(sys.polled.slice(0, 8), [1, 2, 4, 8, 16, 32, 50, 50]);
    left = Number.POSITIVE_INFINITY;
    t.match(
      thrownBy(() =>
        socket.dump({ type: 18, flags: 0, body: Buffer.alloc(4) }, { waitingFor: 'the links', timeoutMs: 30 }),
      ),
      { code: 11, message: 'the links kept changing while it was read, for 30 ms' },
    );
  },
);

t.test('a datagram that is larger than the send buffer gets a larger one, once', async (t) => {
  const sys = fakeNetlink(([request]) => [ack(request as Seen)]);
  let room = 200_000;
  const send: typeof sys.send = (fd, bytes, flags) =>
    bytes.length > room ? -errno.EMSGSIZE : sys.send(fd, bytes, flags);
  const asked: number[] = [];
  const setsockopt: typeof sys.setsockopt = (_fd, _level, name, value) => {
    if (name !== 32) return 0;
    room = Buffer.from(value).readUInt32LE(0);
    asked.push(room);
    return 0;
  };
  const socket = NetlinkSocket.open({ ...sys, send, setsockopt }, protocol.NETFILTER);
  t.teardown(() => socket[Symbol.dispose]());
  const long = { type: 16, flags: 0, body: Buffer.alloc(1_000_000) };
  t.strictSame(summary(socket.transact([long], patience)), [{ errno: 0, replies: [] }]);
  socket.transact([long], patience);
  t.equal(asked.length, 1);
});

t.test('no answer: the wait ends, and says what was waited for', async (t) => {
  const { sys, socket } = opened(() => []);
  const started = performance.now();
  t.match(
    thrownBy(() => socket.transact([change(16)], patience)),
    { code: 11, message: 'the kernel did not answer within 20 ms about a test' },
  );
  t.ok(performance.now() - started >= 19);
  t.ok(
    sys.polled.every((timeoutMs) => timeoutMs <= 20 && timeoutMs > 0),
    'poll is never asked to wait for longer than what is left',
  );
});

t.test('a signal (EINTR) and answers to something else do not disturb', async (t) => {
  const { socket } = opened(([request]) => [
    -errno.EINTR,
    message(0, 16, 0, Buffer.alloc(4)), // a notification has number 0
    ack({ ...(request as Seen), seq: 99 }, errno.EPERM),
    ack(request as Seen),
  ]);
  t.strictSame(summary(socket.transact([change(16)], patience)), [{ errno: 0, replies: [] }]);
});

t.test('a kernel that does not take the datagram', async (t) => {
  const sys = fakeNetlink(() => []);
  const socket = NetlinkSocket.open({ ...sys, send: () => -errno.EMSGSIZE }, protocol.ROUTE);
  t.teardown(() => socket[Symbol.dispose]());
  t.match(
    thrownBy(() => socket.transact([change(16)], patience)),
    { code: 100, message: 'cannot ask the kernel about a test: EMSGSIZE' },
  );
});

t.test('notifications: what came, nothing in time, or some were lost', async (t) => {
  const queue: Received[] = [message(0, 20, 0, Buffer.from('01020304', 'hex')), -errno.ENOBUFS];
  const sys = {
    ...fakeNetlink(() => []),
    recv: (_fd: number, into: Uint8Array) => {
      const next = queue.shift() ?? -errno.EAGAIN;
      if (typeof next === 'number') return next;
      next.copy(into);
      return next.length;
    },
  };
  const socket = NetlinkSocket.listen(sys, protocol.ROUTE, 9);
  t.teardown(() => socket[Symbol.dispose]());
  // struct sockaddr_nl: AF_NETLINK, pad, pid 0, group 9 as a bit
  t.strictSame(sys.log, ['socket 0', 'bind 100000000000000000010000']);
  const soon = () => nowMs() + 10;
  t.match(socket.notifications(soon()), [{ type: 20, body: Buffer.from('01020304', 'hex') }]);
  t.equal(socket.notifications(soon()), 'lost');
  t.equal(socket.notifications(soon()), 'timeout');
});

t.test('closing twice closes once', async (t) => {
  const socket = NetlinkSocket.open(
    fakeNetlink(() => []),
    protocol.ROUTE,
  );
  socket[Symbol.dispose]();
  const reused = openSync('/dev/null', 'r');
  t.equal(reused, socket.fd, 'the number of the closed descriptor is given out again');
  socket[Symbol.dispose]();
  t.doesNotThrow(() => closeSync(reused), 'and is not closed by the second call');
});

t.test('an answer that is lost every time is an error in the end', async (t) => {
  let attempts = 0;
  const { socket } = opened(() => {
    attempts++;
    return [-errno.ENOBUFS];
  });
  t.match(
    thrownBy(() => socket.get({ type: 18, flags: 0, body: Buffer.alloc(4) }, patience)),
    { code: 100, message: "the kernel's answer about a test was lost (lost)" },
  );
  t.equal(attempts, 8);
});
