import t from 'tap';
import type { Op } from '../../../src/plan/op.ts';
import { ownUndo } from '../../../src/plan/own-undo.ts';

t.test('a failed ADD takes back what is its own, and leaves what other pods may count on', async (t) => {
  const own: Op[] = [
    { op: 'link.del', in: 'host', dev: 'veth1' },
    { op: 'spoofcheck.del', dev: 'veth1' },
    { op: 'addr.del', in: 'container', dev: 'eth0', prefix: '10.1.0.2/16' },
    { op: 'masq.del', network: 'n', address: '10.1.0.2', comment: 'c' },
  ];
  const shared: Op[] = [
    { op: 'addr.del', in: 'host', dev: 'cni0', prefix: '10.1.0.1/16' },
    { op: 'addr.add', in: 'host', dev: 'cni0', prefix: '10.1.0.254/16', nodad: false },
    { op: 'sysctl.set', in: 'host', key: 'net/ipv4/ip_forward', value: '0', required: false },
    { op: 'link.del', in: 'host', dev: 'cni0.100' },
    { op: 'bridge.set', dev: 'cni0', mac: '02:00:00:00:00:01' },
  ];
  const bridge: Op[] = [{ op: 'bridge.reap', dev: 'cni0' }];
  t.same(ownUndo([...bridge, ...own, ...shared], 'veth1'), { attachment: own, bridge });
});
