import type { Test } from 'tap';
import { leftBehind } from './left-behind.ts';
import type { Recording } from './recorder.ts';
import type { RuntimeNode } from './runtime-node.ts';

/** The addresses and container ids of recorded ADDs: what must not be left anywhere. */
function namesIn(recordings: Recording[]): string[] {
  return recordings.flatMap(({ env, stdout }) => {
    if (env.CNI_COMMAND !== 'ADD') return [];
    const ips = (JSON.parse(stdout).ips ?? []) as { address: string }[];
    return [env.CNI_CONTAINERID ?? '', ...ips.map(({ address }) => address.replace(/\/.*/, ''))];
  });
}

/** Nothing of any attachment so far is left; the reference plugin's known leak is told, not hidden. */
export function nothingLeft(t: Test, node: RuntimeNode): void {
  const left = leftBehind(node.host, namesIn(node.recordings()));
  if (node.plugin.isReference && left.length > 0) {
    // DEL with an empty CNI_NETNS: it does not look for them.
    const rules = left.filter((line) => !/iptables|jump CNI-/.test(line));
    t.strictSame(rules, [], 'the reference plugin leaves masquerade rules, but nothing else');
  } else t.strictSame(left, [], 'no lease, no veth, no rule is left');
}
