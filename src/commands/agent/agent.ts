import { engine } from '#engine';
import { CniError, code } from '../../cni/error.ts';
import type { Run } from '../command-table.ts';

/** What the part of the Node.js build called `agent` exports: see src/agent/main.ts. */
interface AgentPart {
  runAgent: Run;
}

/** `tsbridge agent`. The agent is a part of its own, which nothing else loads. Throws CniError where the executable has none. */
export const agentCommand: Run = async (host, operand, options, operands) => {
  const part = (await engine.part('agent')) as AgentPart | undefined;
  if (!part) {
    throw new CniError(
      code.missingFeature,
      'the agent is in the Node.js build, bin/tsbridge of "make pkg", which is also what the container image of deploy/ has',
    );
  }
  return part.runAgent(host, operand, options, operands);
};
