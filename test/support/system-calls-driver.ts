/** Makes every call of src/linux/system-calls.ts; prints what each gave. For test/unit/linux/system-calls.test.ts. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { systemCalls as sys } from '../../src/linux/system-calls.ts';

const results: Record<string, unknown> = {};
const AF_NETLINK = 16;

const socket = sys.socket(AF_NETLINK, 3 | 0o2000000, 0);
results.socket = socket > 2;
results['socket of no family'] = sys.socket(99, 1, 0);
const type = new Uint8Array(4);
results['getsockopt SO_TYPE'] = [sys.getsockopt(socket, 1, 3, type), [...type]];
results['getsockopt into too little'] = [sys.getsockopt(socket, 1, 3, type.subarray(0, 2)), [...type]];
results['getsockopt unknown'] = sys.getsockopt(socket, 1, 9999, type);
results['setsockopt SO_RCVBUF'] = sys.setsockopt(socket, 1, 8, new Uint8Array([0, 32, 0, 0]));
const size = new Uint8Array(4);
sys.getsockopt(socket, 1, 8, size);
results['SO_RCVBUF is doubled'] = [...size];
results['setsockopt unknown'] = sys.setsockopt(socket, 1, 9999, new Uint8Array(4));
results.bind = sys.bind(socket, new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
results['bind too short'] = sys.bind(socket, new Uint8Array([AF_NETLINK, 0]));
results['recv of nothing'] = sys.recv(socket, new Uint8Array(64), 0x40);
results['poll for nothing'] = sys.poll(socket, 1, 1);
results['poll to write'] = sys.poll(socket, 4, 1);
results['poll of a closed descriptor'] = sys.poll(987, 1, 1);
const started = performance.now();
results['poll only sleeps'] = [sys.poll(-1, 0, 30), performance.now() - started >= 29];

// RTM_GETLINK of index 1, in a view that begins in the middle of its buffer
const message = new Uint8Array(40).subarray(8);
message.set([32, 0, 0, 0, 18, 0, 1, 0, 7, 0, 0, 0]);
message.set([1], 16 + 4);
results.send = sys.send(socket, message, 0);
results['poll to read'] = sys.poll(socket, 1, 1000);
const small = new Uint8Array(48).subarray(16);
results['recv peeks at the whole length'] = sys.recv(socket, small, 0x22) > 32;
results['and fills the view only'] = [...small.subarray(4, 12)];
const large = Buffer.alloc(32768);
const length = sys.recv(socket, large, 0);
results['recv gives the message'] = large.readUInt32LE(0) === length && length > 100;

// Three at once, while garbage is made: what the threads read must stay where it is.
const ends = [1, 2, 3].map(() => sys.sendAside(socket, message.slice()));
for (let i = 0; i < 20_000; i++) large.subarray(i % 100).toString('latin1', 0, 10);
results['send aside'] = ends.map((end) => end());
results['answers to what was sent aside'] = ends.map(() => sys.recv(socket, large, 0) > 100);
results['send aside to no descriptor'] = sys.sendAside(99_999, message)();

results['flock of no descriptor'] = sys.flock(987, 1);
const one = openSync('/proc/self/ns/net', 'r');
const other = openSync('/proc/self/ns/net', 'r');
results.flock = [sys.flock(one, 2 | 4), sys.flock(other, 1 | 4), sys.flock(one, 8), sys.flock(other, 1 | 4)];
results['setns of no descriptor'] = sys.setns(987, 0x40000000);
closeSync(one);
closeSync(other);
closeSync(socket);

// Small arrays live in the garbage collector's heap: what is passed must be where it was when the call looks.
let wrong = 0;
const again = sys.socket(AF_NETLINK, 3 | 0o2000000, 0);
for (let i = 0; i < 20_000; i++) {
  const value = new Uint8Array(4);
  if (sys.getsockopt(again, 1, 3, value) !== 4 || value[0] !== 3) wrong++;
}
closeSync(again);
results['wrong answers among 20000 with garbage'] = wrong;

writeSync(1, JSON.stringify(results));
