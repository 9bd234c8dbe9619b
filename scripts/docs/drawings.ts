import { join } from 'node:path';
import { project } from '../build/bundle.ts';
import { drawFlow } from './drawings/flow.ts';
import { drawNode, observeNode } from './drawings/node.ts';
import { drawPing, observePing } from './drawings/ping.ts';
import { Session } from './session.ts';

/** A drawing of the pages: where it is, and its making, of what is there now. */
export interface Drawing {
  path: string; // below the project
  draw(executable?: string): Promise<string>;
}

/** What docs/learn.md has made when its second pod is there. */
const twoPods = `export CNI_PATH=/opt/cni/bin CNI_IFNAME=eth0
for pod in web db; do
  ip netns add $pod
  CNI_COMMAND=ADD CNI_CONTAINERID=$pod-1 CNI_NETNS=/run/netns/$pod tsbridge </etc/cni/net.d/10-pods.conf >/dev/null || exit
done`;

async function onNode<T>(executable: string | undefined, observe: (shell: Session) => Promise<T>): Promise<T> {
  using shell = new Session(executable);
  const { status, output } = await shell.run(twoPods);
  if (status !== 0) throw new Error(output.join('\n'));
  return await observe(shell);
}

export const drawings: Drawing[] = [
  { path: 'docs/learn-node.svg', draw: async (executable) => drawNode(await onNode(executable, observeNode)) },
  { path: 'docs/learn-ping.svg', draw: async (executable) => drawPing(await onNode(executable, observePing)) },
  {
    path: 'docs/learn-show.svg',
    draw: (executable) =>
      onNode(executable, async (shell) => {
        const { status, output } = await shell.run('tsbridge show --svg /run/show.svg && cat /run/show.svg');
        if (status !== 0) throw new Error(output.join('\n'));
        return `${output.join('\n')}\n`;
      }),
  },
  { path: 'docs/design-flow.svg', draw: async () => drawFlow() },
];

export const placeOf = ({ path }: Drawing): string => join(project, path);
