import { spawnSync } from 'node:child_process';
import t from 'tap';
import { source } from '../../support/source-process.ts';

// Every call, on real descriptors and without root; in a process of its own, to see that nothing is said on stderr.

const expected = {
  socket: true,
  'socket of no family': -97,
  'getsockopt SO_TYPE': [4, [3, 0, 0, 0]],
  'getsockopt into too little': [2, [3, 0, 0, 0]],
  'getsockopt unknown': -92,
  'setsockopt SO_RCVBUF': 0,
  'SO_RCVBUF is doubled': [0, 64, 0, 0],
  'setsockopt unknown': -92,
  bind: 0,
  'bind too short': -22,
  'recv of nothing': -11,
  'poll for nothing': 0,
  'poll to write': 4,
  'poll of a closed descriptor': 32,
  'poll only sleeps': [0, true],
  send: 32,
  'poll to read': 1,
  'recv peeks at the whole length': true,
  // RTM_NEWLINK, no flags, number 7
  'and fills the view only': [16, 0, 0, 0, 7, 0, 0, 0],
  'recv gives the message': true,
  'send aside': [32, 32, 32],
  'answers to what was sent aside': [true, true, true],
  'send aside to no descriptor': -9,
  'flock of no descriptor': -9,
  flock: [0, -11, 0, 0],
  'setns of no descriptor': -9,
  'wrong answers among 20000 with garbage': 0,
};

t.test('what each call gives', async (t) => {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--experimental-ffi', source('test/support/system-calls-driver.ts')],
    { encoding: 'utf8', timeout: 60_000 },
  );
  t.equal(status, 0, stderr);
  t.strictSame(JSON.parse(stdout), expected);
  t.equal(stderr, '', 'nothing is said about experimental features');
});
