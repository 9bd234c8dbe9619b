import t from 'tap';
import { refusal } from '../../../src/kernel/refusal.ts';
import { errno } from '../../../src/linux/errno.ts';
import type { Op } from '../../../src/plan/op.ts';

const veth: Op = {
  op: 'veth.add',
  dev: 'veth1',
  mac: '02:00:00:00:00:02',
  mtu: 0,
  master: 'cni0',
  peer: { in: 'container', dev: 'eth0', mac: '02:00:00:00:00:03' },
};
const showVeth =
  'ip link add veth1 address 02:00:00:00:00:02 master cni0 up type veth peer eth0 address 02:00:00:00:00:03 netns container';

t.test('a refusal says what was tried, what the kernel answered, and what to do', async (t) => {
  const table: [string, Op, { errno: number; text?: string }, object][] = [
    [
      'a bridge that is full',
      veth,
      { errno: errno.EXFULL },
      {
        code: 100,
        message: `the kernel refused "${showVeth}": EXFULL`,
        details: 'a bridge has room for 1024 ports: give some of the networks another bridge, or the node fewer pods',
      },
    ],
    [
      'a kernel without veth',
      veth,
      { errno: errno.EOPNOTSUPP, text: 'Unknown device type' },
      {
        code: 104,
        message: `the kernel refused "${showVeth}": EOPNOTSUPP`,
        details: 'Unknown device type; the kernel has no veth interfaces (CONFIG_VETH): try modprobe veth',
      },
    ],
    [
      'not root',
      { op: 'link.set', in: 'container', dev: 'eth0', up: true },
      { errno: errno.EPERM },
      {
        code: 100,
        message: 'the kernel refused "[container] ip link set eth0 up": EPERM',
        details: 'this needs root, or CAP_NET_ADMIN in the namespace',
      },
    ],
    [
      'a kernel without IPv6',
      { op: 'addr.add', in: 'container', dev: 'eth0', prefix: 'fd00::5/64', nodad: true },
      { errno: errno.EAFNOSUPPORT },
      {
        code: 104,
        message: 'the kernel refused "[container] ip addr add fd00::5/64 dev eth0 nodad": EAFNOSUPPORT',
        details: 'the kernel has no IPv6: use IPv4 ranges only, or boot without ipv6.disable=1',
      },
    ],
    [
      'a kernel booted with ipv6.disable=1',
      { op: 'addr.add', in: 'host', dev: 'cni0', prefix: 'fd00::1/64', nodad: true },
      { errno: errno.EOPNOTSUPP },
      {
        code: 104,
        message: 'the kernel refused "ip addr add fd00::1/64 dev cni0 nodad": EOPNOTSUPP',
        details: 'the kernel has no IPv6: use IPv4 ranges only, or boot without ipv6.disable=1',
      },
    ],
    [
      'EACCES for an IPv4 address is not about IPv6',
      { op: 'addr.add', in: 'container', dev: 'eth0', prefix: '10.1.0.5/24', nodad: false },
      { errno: errno.EACCES },
      {
        code: 100,
        message: 'the kernel refused "[container] ip addr add 10.1.0.5/24 dev eth0": EACCES',
        details: 'this needs root, or CAP_NET_ADMIN in the namespace',
      },
    ],
    [
      'a read-only /proc/sys',
      { op: 'sysctl.set', in: 'host', key: 'net/ipv4/ip_forward', value: '1', required: true },
      { errno: errno.EROFS },
      {
        code: 100,
        message: 'the kernel refused "sysctl -w net/ipv4/ip_forward=1": EROFS',
        details: '/proc/sys is mounted read-only',
      },
    ],
    [
      'an errno without a name or a remedy',
      { op: 'link.del', in: 'host', dev: 'veth1' },
      { errno: 200 },
      { code: 100, message: 'the kernel refused "ip link del veth1": errno 200', details: '' },
    ],
  ];
  for (const [title, op, outcome, expected] of table) {
    const { code, message, details } = refusal(op, outcome);
    t.strictSame({ code, message, details }, expected, title);
  }
});
