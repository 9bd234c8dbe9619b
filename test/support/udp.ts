import { engine } from '#engine';
import { close, open } from '../../src/linux/files.ts';
import { O, SYS } from '../../src/linux/numbers.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';

const AF_INET = 2; // linux/socket.h
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const CLONE_NEWNET = 0x40000000; // linux/sched.h
const POLLIN = 1;

/** struct sockaddr_in, linux/in.h */
function socketAddress(address: string, port: number): Uint8Array {
  return Uint8Array.of(AF_INET, 0, port >> 8, port & 255, ...address.split('.').map(Number), 0, 0, 0, 0, 0, 0, 0, 0);
}

function must(answer: number, what: string): number {
  if (answer < 0) throw new Error(`${what}: errno ${-answer}`);
  return answer;
}

/** A UDP socket (IPv4) in a network namespace, which need not have a network yet: what is sent goes out at once, with nothing to start. */
export class UdpSocket implements Disposable {
  readonly #fd: number;

  /** `netns`: a path. With a port, it receives what comes to it. */
  constructor(netns: string, port?: number) {
    const [home, there] = [open('/proc/thread-self/ns/net', O.RDONLY), open(netns, O.RDONLY)];
    must(systemCalls.setns(there, CLONE_NEWNET), 'setns');
    try {
      this.#fd = must(systemCalls.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0), 'socket');
    } finally {
      must(systemCalls.setns(home, CLONE_NEWNET), 'setns');
      close(home);
      close(there);
    }
    if (port !== undefined) must(systemCalls.bind(this.#fd, socketAddress('0.0.0.0', port)), 'bind');
  }

  send(text: string, address: string, port: number): void {
    const bytes = new TextEncoder().encode(text);
    const to = socketAddress(address, port);
    must(engine.syscall(SYS.sendto, this.#fd, bytes, bytes.length, 0, to, to.length), `sendto ${address}`);
  }

  /** The next datagram, or undefined when none comes in time. */
  receive(timeoutMs: number): string | undefined {
    if (systemCalls.poll(this.#fd, POLLIN, timeoutMs) <= 0) return undefined;
    const bytes = new Uint8Array(2048);
    return new TextDecoder().decode(bytes.subarray(0, must(systemCalls.recv(this.#fd, bytes, 0), 'recv')));
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
