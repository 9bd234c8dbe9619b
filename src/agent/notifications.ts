import { read } from 'node:fs';
import { MulticastGroups } from 'netlink/dist/rt/gen_structs.js';
import { CniError, code } from '../cni/error.ts';
import { putU16, putU32 } from '../linux/bytes.ts';
import { errno, errnoName } from '../linux/errno.ts';
import { systemCalls } from '../linux/system-calls.ts';
import { decodeMessages, type Reply } from '../netlink/message.ts';

const AF_NETLINK = 16; // linux/socket.h
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const MSG_DONTWAIT = 0x40;

const groups = [
  MulticastGroups.LINK,
  MulticastGroups.NEIGH,
  MulticastGroups.IPV4_IFADDR,
  MulticastGroups.IPV6_IFADDR,
  MulticastGroups.IPV4_ROUTE,
  MulticastGroups.IPV6_ROUTE,
];

/**
 * Calls `changed` with what the kernel tells of links, addresses, neighbours and routes of this namespace; without messages when some were lost.
 * A thread of Node's pool waits in read(2) on the socket: nothing else runs while nothing happens.
 */
export function listen(changed: (messages: Reply[] | undefined) => void): void {
  const fd = systemCalls.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  // struct sockaddr_nl: family, pad, pid, a mask of groups — linux/netlink.h
  const address = new Uint8Array(12);
  putU16(address, 0, AF_NETLINK);
  putU32(address, 8, groups.reduce((mask, group) => mask | (1 << (group - 1)), 0) >>> 0);
  const answer = fd < 0 ? fd : systemCalls.bind(fd, address);
  if (answer < 0) throw new CniError(code.kernel, `cannot listen to the kernel's notifications: ${errnoName(answer)}`);
  const buffer = Buffer.alloc(64 * 1024);
  const told = (answer: number) => {
    if (answer >= 0) changed(decodeMessages(new Uint8Array(buffer.subarray(0, answer))));
    // There was more than the kernel had room for.
    else if (answer === -errno.ENOBUFS) changed(undefined);
    else throw new CniError(code.kernel, `cannot receive the kernel's notifications: ${errnoName(answer)}`);
  };
  const next = () =>
    read(fd, buffer, 0, buffer.length, null, (error, length) => {
      told(error ? (error.errno ?? -errno.EIO) : length);
      // One comes seldom alone: the others are taken without a thread for each.
      for (let more = 0; more < 10_000; more++) {
        const answer = systemCalls.recv(fd, buffer, MSG_DONTWAIT);
        if (answer === -errno.EAGAIN) break;
        if (answer !== -errno.EINTR) told(answer);
      }
      next();
    });
  next();
}
