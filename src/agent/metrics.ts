import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import packageJson from '../../package.json' with { type: 'json' };
import { type ProblemName, problems } from './problem.ts';

/** What /metrics shows. */
export class Metrics {
  readonly registry = new Registry();
  private readonly on = { registers: [this.registry] };
  readonly nodes = new Gauge({ name: 'tsbridge_agent_nodes', help: 'Other nodes that are known', ...this.on });
  readonly routes = new Gauge({
    name: 'tsbridge_agent_routes',
    help: 'Routes to ranges of other nodes',
    labelNames: ['mode', 'family'],
    ...this.on,
  });
  readonly problems = new Gauge({
    name: 'tsbridge_agent_node_problems',
    help: 'What is odd about nodes, by kind',
    labelNames: ['problem'],
    ...this.on,
  });
  readonly syncSeconds = new Histogram({
    name: 'tsbridge_agent_sync_seconds',
    help: 'How long it took to look at the host and set it right',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    ...this.on,
  });
  readonly syncs = new Counter({
    name: 'tsbridge_agent_syncs_total',
    help: 'How often that was done',
    labelNames: ['result'],
    ...this.on,
  });
  readonly changes = new Counter({
    name: 'tsbridge_agent_changes_total',
    help: 'Changes to the host, by operation',
    labelNames: ['op'],
    ...this.on,
  });
  readonly errors = new Counter({
    name: 'tsbridge_agent_errors_total',
    help: 'What failed, by what was asked',
    labelNames: ['in'],
    ...this.on,
  });

  /** `lastEventAgeMs`, `isReady`: asked when somebody looks. */
  constructor(lastEventAgeMs: () => number, isReady: () => boolean) {
    const { on } = this;
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        ...on,
        collect() {
          this.set(value());
        },
      });
    gauge(
      'tsbridge_agent_last_event_age_seconds',
      'Since something last came from the API server',
      () => Math.round(lastEventAgeMs()) / 1000,
    );
    gauge('tsbridge_agent_ready', 'Whether routes and conflist stand', () => Number(isReady()));
    gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
    gauge('process_cpu_seconds_total', 'Processor time', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    gauge('process_start_time_seconds', 'When the process began', () => Date.now() / 1000 - process.uptime());
    new Gauge({
      name: 'tsbridge_agent_build_info',
      help: 'The version',
      labelNames: ['version'],
      ...on,
    }).set({ version: packageJson.version }, 1);
    for (const problem of Object.keys(problems)) this.problems.set({ problem }, 0);
    for (const result of ['ok', 'failed']) this.syncs.inc({ result }, 0);
    for (const where of ['api', 'kernel', 'files']) this.errors.inc({ in: where }, 0);
  }

  setProblems(found: readonly { problem: ProblemName }[]): void {
    const counts = new Map<string, number>();
    for (const { problem } of found) counts.set(problem, (counts.get(problem) ?? 0) + 1);
    for (const problem of Object.keys(problems)) this.problems.set({ problem }, counts.get(problem) ?? 0);
  }

  setRoutes(routes: Record<'direct' | 'vxlan', Record<4 | 6, number>>): void {
    for (const mode of ['direct', 'vxlan'] as const) {
      for (const family of [4, 6] as const) this.routes.set({ mode, family: String(family) }, routes[mode][family]);
    }
  }
}
