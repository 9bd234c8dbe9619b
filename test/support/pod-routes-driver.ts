/**
 * Carries out operations on the routes between nodes, in a process of its own, so that a test can choose its network namespace.
 * stdin: JSON, a list of lists of operations. stdout: JSON, what became of each list, and what there is after it.
 */
import { readFileSync, writeSync } from 'node:fs';
import { applyPodRouteOps } from '../../src/kernel/pod-routes/apply.ts';
import { readPodRouteState } from '../../src/kernel/pod-routes/observe.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';
import { NetlinkSocket, protocol } from '../../src/netlink/socket.ts';
import { vxlanDevices } from '../../src/plan/pod-routes/devices.ts';
import type { PodRouteOp } from '../../src/plan/pod-routes/op.ts';
import type { PodRouteState } from '../../src/plan/pod-routes/state.ts';

export interface Given {
  changed: boolean[];
  errors: string[];
  state: PodRouteState;
}

using socket = NetlinkSocket.open(systemCalls, protocol.ROUTE);
const given = (JSON.parse(readFileSync(0, 'utf8')) as PodRouteOp[][]).map((ops): Given => {
  const applied = applyPodRouteOps(socket, ops);
  return {
    changed: applied.map(({ changed }) => changed),
    errors: applied.flatMap(({ error }) => (error ? [error.message] : [])),
    state: readPodRouteState(socket, vxlanDevices),
  };
});
writeSync(1, JSON.stringify(given));
