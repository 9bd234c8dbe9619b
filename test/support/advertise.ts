/**
 * Sends one router advertisement (RFC 4861, section 4.2) out of an interface: a router for half an hour, and one prefix to make addresses of.
 * Words: the interface's index, the first 64 bits of the prefix as 16 hex digits. To be run in the router's network namespace.
 */
import { engine } from '../../src/engine/node/engine.ts';
import { putU32 } from '../../src/linux/bytes.ts';
import { errnoName } from '../../src/linux/errno.ts';
import { SYS } from '../../src/linux/numbers.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';

const [number = '', prefix = ''] = process.argv.slice(2);
const index = Number(number);

const [AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, IPPROTO_IPV6] = [10, 3, 58, 41];
const [IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS] = [17, 18]; // linux/in6.h
const int = (value: number) => {
  const bytes = new Uint8Array(4);
  putU32(bytes, 0, value);
  return bytes;
};
const done = (what: string, answer: number) => {
  if (answer < 0) throw new Error(`${what}: ${errnoName(answer)}`);
  return answer;
};

const fd = done('socket', systemCalls.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
done('IPV6_MULTICAST_IF', systemCalls.setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, int(index)));
done('IPV6_MULTICAST_HOPS', systemCalls.setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, int(255)));

const advertisement = Buffer.from(
  [
    '86 00 0000 40 00 0708 00000000 00000000', // type, code, checksum (the kernel's), hop limit, flags, 1800 s, two times
    '03 04 40 c0 00015180 00003840 00000000', // prefix information: length 64, on-link and autonomous, a day, four hours
    `${prefix} 0000000000000000`,
  ]
    .join('')
    .replaceAll(' ', ''),
  'hex',
);
// struct sockaddr_in6: family, port, flow, ff02::1 (all nodes), scope
const everybody = Buffer.alloc(28);
everybody.writeUInt16LE(AF_INET6, 0);
everybody.set([0xff, 0x02], 8);
everybody[23] = 1;
everybody.writeUInt32LE(index, 24);
done('sendto', engine.syscall(SYS.sendto, fd, advertisement, advertisement.length, 0, everybody, everybody.length));
