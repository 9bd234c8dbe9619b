import { dlopen, getInt32 } from 'node:ffi';
import { closeSync, mkdirSync, openSync, unlinkSync } from 'node:fs';

const { functions: c } = dlopen('libc.so.6', {
  __errno_location: { arguments: [], return: 'pointer' },
  unshare: { arguments: ['i32'], return: 'i32' },
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  mount: { arguments: ['buffer', 'buffer', 'pointer', 'u64', 'pointer'], return: 'i32' },
  umount2: { arguments: ['buffer', 'i32'], return: 'i32' },
});

const CLONE_NEWNET = 0x40000000; // linux/sched.h
const MS_BIND = 4096; // linux/mount.h
const MNT_DETACH = 2;
const ownNamespace = '/proc/thread-self/ns/net';

function check(what: string, result: number): void {
  if (result !== 0) throw new Error(`${what}: errno ${getInt32(c.__errno_location(), 0)}`);
}

const text = (value: string) => Buffer.from(`${value}\0`);

/** The bench's own host; the thread is in it whenever no other namespace was asked for. */
const home = openSync(ownNamespace, 'r');

/**
 * A named network namespace: what `ip netns add` makes, without starting `ip`. The thread that measures enters it to start programs
 * there, so no nsenter(1) lies between the clock and the plugin.
 */
export class Namespace implements Disposable {
  readonly path: string; // CNI_NETNS
  readonly #fd: number;

  constructor(name: string) {
    mkdirSync('/run/netns', { recursive: true });
    this.path = `/run/netns/${name}`;
    closeSync(openSync(this.path, 'wx'));
    check('unshare', c.unshare(CLONE_NEWNET));
    check(`mount ${this.path}`, c.mount(text(ownNamespace), text(this.path), 0n, BigInt(MS_BIND), 0n));
    this.#fd = openSync(ownNamespace, 'r');
    Namespace.home();
  }

  /** Moves the thread into the namespace, until `Namespace.home()`. Nothing else may be awaited in between than promises of this thread. */
  enter(): void {
    check(`setns ${this.path}`, c.setns(this.#fd, CLONE_NEWNET));
  }

  /** Moves the thread back to the bench's own host. */
  static home(): void {
    check('setns', c.setns(home, CLONE_NEWNET));
  }

  /** Does something in the namespace. It must not be asynchronous: only this thread is moved. */
  inside<T>(body: () => T): T {
    this.enter();
    try {
      return body();
    } finally {
      Namespace.home();
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    check(`umount ${this.path}`, c.umount2(text(this.path), MNT_DETACH));
    unlinkSync(this.path);
  }
}
