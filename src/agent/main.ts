import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { engine } from '#engine';
import { asCniError } from '../cni/error.ts';
import type { CliOptions } from '../commands/command-table.ts';
import type { Host } from '../host.ts';
import { oneLine } from '../log/one-line.ts';
import { showPodRouteOp } from '../plan/pod-routes/op.ts';
import { Agent } from './agent.ts';
import { AgentLock } from './lock.ts';
import { agentLog, type Log } from './log.ts';
import { listen } from './notifications.ts';
import { serve } from './server.ts';
import { readSettings } from './settings.ts';

/** How often a second agent looks whether the first one has ended. */
const standByMs = 500;

/**
 * `tsbridge agent`: the exit status. The Node.js executable has this module, with all that it imports, as a part of its own (Engine.part):
 * nothing of it is read for anything else.
 */
export async function runAgent(host: Host, _: string | undefined, options: CliOptions): Promise<number> {
  engine.expectLongWork();
  // Lists of thousands of objects are read, and little of them is kept: a heap that grew with them would stay that large. A third of the
  // memory, for a tenth of a second.
  for (const flag of ['--semi-space-growth-factor=1', '--optimize-for-size']) setFlagsFromString(flag);
  try {
    return await run(host, options);
  } catch (thrown) {
    const error = asCniError(thrown);
    host.stderr(`tsbridge agent: ${oneLine(error.message)}\n${error.details ? `  ${oneLine(error.details)}\n` : ''}`);
    return 1;
  }
}

async function run(host: Host, options: CliOptions): Promise<number> {
  const settings = readSettings(options, host.env, hostname());
  const log = agentLog(settings.logLevel, settings.node, (text) => host.stderr(text));
  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      log.info({ signal }, 'ending: all stays as it is');
      ending.abort();
    });
  }
  const { signal } = ending;
  const agent = new Agent(settings, log, signal);
  if (options.dryRun) return dryRun(host, agent, options.json === true);

  const lock = new AgentLock();
  if (settings.port !== 0) void serveSomeTime(settings.port, agent, log, signal);
  log.info({ mode: settings.mode, port: settings.port }, 'the agent begins');
  for (let saidSo = false; !lock.take(); ) {
    const because = `another agent is at work on this node (${lock.holder()})`;
    agent.standBy(because);
    if (!saidSo) log.warn(because);
    saidSo = true;
    await sleep(standByMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return 0;
  }
  listen((messages) => agent.kernelChanged(messages));
  await agent.run();
  return 0;
}

/** The port may be that of the agent that this one follows: then it is this one's when that one has ended. */
async function serveSomeTime(port: number, agent: Agent, log: Log, signal: AbortSignal): Promise<void> {
  for (let saidSo = false; !signal.aborted; saidSo = true) {
    try {
      await serve(port, {
        sick: () => agent.sick(),
        unready: () => agent.unready(),
        metrics: () => agent.metrics.registry.metrics(),
      });
      return;
    } catch (error) {
      if (!saidSo) log.error(`health and metrics cannot be served yet: ${(error as Error).message}`);
      await sleep(standByMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** Prints what would be done. */
async function dryRun(host: Host, agent: Agent, asJson: boolean): Promise<number> {
  const decision = await agent.decideOnce();
  const conflist = agent.conflistOf(decision);
  const { plan, problems } = decision;
  if (asJson) {
    const { ops, routes, held } = plan;
    const { from, to } = agent.installs ?? {};
    host.stdout(
      `${JSON.stringify({ ops, routes, held, problems, install: from && { from, to }, conflist }, null, 2)}\n`,
    );
    return 0;
  }
  for (const { node, problem, what } of problems) host.stderr(`${oneLine(`${node}: ${problem} ${what}`)}\n`);
  const lines = [
    ...(agent.installs ? [`install -m 755 ${agent.installs.from} ${agent.installs.to}`] : []),
    ...plan.ops.map(showPodRouteOp),
    ...(conflist ? [`cat > ${conflist.path} <<END\n${conflist.text}END`] : []),
    ...plan.held.map((dst) => `# stays, though no node has it: ${dst}`),
  ];
  host.stdout(`${lines.join('\n')}\n`);
  return 0;
}
