import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type Applied, applyPodRouteOps } from '../kernel/pod-routes/apply.ts';
import { readPodRouteState } from '../kernel/pod-routes/observe.ts';
import { systemCalls } from '../linux/system-calls.ts';
import type { Reply } from '../netlink/message.ts';
import { NetlinkSocket, protocol } from '../netlink/socket.ts';
import { vxlanDevices } from '../plan/pod-routes/devices.ts';
import { showPodRouteOp } from '../plan/pod-routes/op.ts';
import { NodeFeed } from './api.ts';
import { readTemplate, renderConflist } from './conflist.ts';
import { type Decision, decide, type Memo } from './decide.ts';
import { executableToInstall, Installation, putConflist, shadowedBy } from './install.ts';
import { KnownNodes } from './known-nodes.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { problems as aboutProblem, type Problem } from './problem.ts';
import { concerns, type Interest } from './relevance.ts';
import type { Settings } from './settings.ts';

/** Events come in swarms: nodes that start together, the answers to our own changes. */
const gatherMs = 50;
const gatherKernelMs = 200;
const firstRetryMs = 1000;
const longestRetryMs = 60_000;
/** So many operations are carried out before anything else has its turn. */
const opsAtOnce = 256;
/** A look at the host that takes longer hangs. */
const longestSyncMs = 60_000;

/** The agent of one node: from events of the API server and of the kernel to routes and files, until `signal`. */
export class Agent {
  readonly metrics: Metrics;
  private readonly settings: Settings;
  private readonly log: Log;
  private readonly signal: AbortSignal;
  private readonly nodes: KnownNodes;
  private readonly feed: NodeFeed;
  private readonly template: ReturnType<typeof readTemplate>;
  private readonly installation: Installation | undefined;
  private socket: NetlinkSocket | undefined;
  private timer: NodeJS.Timeout | undefined;
  private dueMs = Number.POSITIVE_INFINITY;
  private relistTimer: NodeJS.Timeout | undefined;
  private retryMs = firstRetryMs;
  private syncingSinceMs: number | undefined;
  private readonly memo: Memo = {};
  /** Whose changes matter; absent while everything may. */
  private interest: Interest | undefined;
  private apiError = '';
  private lastSyncMs = 0;
  private lastEventMs = performance.now();
  private wantsSyncs = false;
  private wantsAnother = false;
  /** Why pods cannot start yet. */
  private missing = 'the nodes have not been listed yet';
  private reported = new Map<string, Problem>();
  private saidOnce = new Set<string>();

  constructor(settings: Settings, log: Log, signal: AbortSignal) {
    this.settings = settings;
    this.log = log;
    this.signal = signal;
    this.nodes = new KnownNodes(settings.node, settings.removalDelayMs);
    const { template } = settings;
    this.template = readTemplate(template === undefined ? undefined : readFileSync(template, 'utf8'), template);
    const executable = executableToInstall(settings);
    this.installation = executable === undefined ? undefined : new Installation(executable, settings.binDir);
    this.metrics = new Metrics(
      () => performance.now() - this.lastEventMs,
      () => this.unready() === '',
    );
    this.feed = new NodeFeed(
      settings,
      {
        listed: (nodes) => this.listed(nodes),
        changed: (node) => this.nodes.changed(node) && this.soon(),
        deleted: (name) => this.nodes.deleted(name) && this.soon(),
        alive: () => this.apiAnswers(),
        failed: (error) => this.apiFailed(error),
      },
      signal,
    );
  }

  /** Why the agent is standing by, instead of what it would say itself. */
  standBy(because: string): void {
    this.missing = because;
  }

  sick(): string {
    const since = this.syncingSinceMs;
    return since !== undefined && performance.now() - since > longestSyncMs ? 'looking at the host hangs' : '';
  }

  unready(): string {
    return this.missing;
  }

  /** Works until the signal. */
  async run(): Promise<void> {
    this.missing = 'the nodes have not been listed yet';
    this.wantsSyncs = true;
    await this.feed.run();
    clearTimeout(this.timer);
    clearTimeout(this.relistTimer);
  }

  /** What would be done now. */
  async decideOnce(): Promise<Decision> {
    const { nodes } = await this.feed.list();
    if (!this.nodes.listed(nodes, performance.now())) throw new Error(`there is no node ${this.settings.node}`);
    return this.decision();
  }

  /** What the conflist would say. */
  conflistOf({ conflist }: Decision): { path: string; text: string } | undefined {
    if (!conflist || this.settings.conflist === undefined) return undefined;
    return { path: join(this.settings.confDir, this.settings.conflist), text: renderConflist(this.template, conflist) };
  }

  get installs(): { from: string; to: string } | undefined {
    return this.installation;
  }

  /** What the kernel tells; without messages when some of it was lost. */
  kernelChanged(messages: readonly Reply[] | undefined): void {
    const { interest } = this;
    if (messages && interest && !messages.some((message) => concerns(message, interest))) return;
    // Our own changes are among them. However many there are, looking takes a fraction of the time.
    if (this.nodes.own) this.soon(Math.min(Math.max(gatherKernelMs, 5 * this.lastSyncMs), 2000));
  }

  private apiAnswers(): void {
    this.lastEventMs = performance.now();
    if (this.apiError === '') return;
    this.apiError = '';
    this.log.info('the API server answers again');
  }

  /** A server may be away for days: a line for each new reason. */
  private apiFailed({ message: error }: Error): void {
    this.metrics.errors.inc({ in: 'api' });
    const say = error === this.apiError ? 'debug' : 'warn';
    this.log[say]({ error }, 'the API server cannot be asked; all stays as it is');
    this.apiError = error;
  }

  private listed(nodes: Parameters<KnownNodes['listed']>[0]): boolean {
    const isBelieved = this.nodes.listed(nodes, performance.now());
    if (isBelieved) this.soon(0);
    else if (this.nodes.own === undefined) this.missing = `there is no node ${this.settings.node} in the cluster`;
    return isBelieved;
  }

  /** Looks at the host after that time, or before it if something else is due. */
  private soon(ms = gatherMs): void {
    if (!this.wantsSyncs || this.signal.aborted) return;
    const due = performance.now() + ms;
    if (due >= this.dueMs) return;
    this.dueMs = due;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.dueMs = Number.POSITIVE_INFINITY;
      void this.sync();
    }, ms);
  }

  /** Sets right what is not as it should be. Between its parts a signal, or whoever asks for metrics, has its turn. */
  private async sync(): Promise<void> {
    if (this.syncingSinceMs !== undefined) {
      this.wantsAnother = true;
      return;
    }
    const started = performance.now();
    this.syncingSinceMs = started;
    let failures: number;
    try {
      failures = await this.setRight();
      if (failures === 0) this.retryMs = firstRetryMs;
    } catch (error) {
      failures = 1;
      this.metrics.errors.inc({ in: 'kernel' });
      this.log.error({ error: (error as Error).message }, 'the host could not be looked at');
      this.missing ||= `the host could not be looked at: ${(error as Error).message}`;
    }
    this.syncingSinceMs = undefined;
    this.metrics.syncs.inc({ result: failures === 0 ? 'ok' : 'failed' });
    this.lastSyncMs = performance.now() - started;
    this.metrics.syncSeconds.observe(this.lastSyncMs / 1000);
    this.soon(failures === 0 ? this.settings.checkIntervalMs : Math.min(this.retryMs, this.settings.checkIntervalMs));
    if (failures > 0) this.retryMs = Math.min(2 * this.retryMs, longestRetryMs);
    if (this.wantsAnother) this.soon();
    this.wantsAnother = false;
  }

  private decision(): Decision {
    this.socket ??= NetlinkSocket.open(systemCalls, protocol.ROUTE);
    const state = readPodRouteState(this.socket, vxlanDevices);
    this.feed.hasAddresses(new Set(state.addresses.map(({ prefix }) => prefix.replace(/\/.*/, ''))));
    const { own } = this.nodes;
    if (!own) throw new Error(`there is no node ${this.settings.node}`);
    const guarded = [process.env.KUBERNETES_SERVICE_HOST ?? '', this.feed.serverHost];
    const decision = decide(
      this.nodes.all(),
      own,
      state,
      this.settings,
      guarded,
      this.nodes.isSure,
      this.memo,
      this.nodes.version,
    );
    const names = new Set<string>([...decision.uplinks, ...vxlanDevices]);
    const indexes = new Set(state.links.filter(({ name }) => names.has(name)).map(({ index }) => index));
    this.interest = decision.uplinks.length > 0 ? { names, indexes } : undefined;
    return decision;
  }

  /** Gives how much of it failed. */
  private async setRight(): Promise<number> {
    if (!this.nodes.own) return 0;
    const decision = this.decision();
    const { plan, others, conflist } = decision;
    this.report([...decision.problems, ...this.held(plan.held)]);
    this.metrics.nodes.set(others);
    if (!conflist) {
      this.missing = `the node ${this.settings.node} has no podCIDRs that can be used, or no interface to other nodes`;
      return 0;
    }
    let failures = this.installPlugin() ? 0 : 1;
    let failed = '';
    for (let at = 0; at < plan.ops.length; at += opsAtOnce) {
      await setImmediate();
      if (this.signal.aborted) return 0;
      for (const applied of applyPodRouteOps(this.theSocket, plan.ops.slice(at, at + opsAtOnce))) {
        const error = this.book(applied);
        if (error === undefined) continue;
        failures++;
        failed ||= error;
      }
    }
    this.metrics.setRoutes(plan.routes);
    // The routes that could be made stand: one that cannot does not keep this node's pods from starting.
    if (!this.writeConflist(decision)) failures++;
    this.missing = failed || (failures > 0 ? 'the plugin or the conflist could not be written' : '');
    this.askAgain(plan.held.length > 0);
    return failures;
  }

  /** Gives what was refused. */
  private book({ op, changed, error }: Applied): string | undefined {
    if (changed) {
      this.metrics.changes.inc({ op: op.op });
      this.log.info(showPodRouteOp(op));
    }
    if (!error) return undefined;
    this.metrics.errors.inc({ in: 'kernel' });
    this.log.error(error.message);
    return error.message;
  }

  private get theSocket(): NetlinkSocket {
    return this.socket as NetlinkSocket;
  }

  /** Another list, when there is doubt about what has gone. */
  private askAgain(hasUnexplained: boolean): void {
    if (!hasUnexplained && this.nodes.held.length === 0) this.nodes.confirm();
    const next = this.nodes.nextListMs(hasUnexplained);
    clearTimeout(this.relistTimer);
    if (next === undefined) return;
    this.relistTimer = setTimeout(() => this.feed.relist(), Math.max(0, next - performance.now()) + 1);
  }

  private held(unexplained: readonly string[]): Problem[] {
    return [
      ...this.nodes.held.map((node): Problem => ({ node, problem: 'held', what: '' })),
      ...unexplained.map((what): Problem => ({ node: '', problem: 'held', what })),
    ];
  }

  private installPlugin(): boolean {
    return this.files(() => {
      if (this.installation?.check())
        this.log.info({ from: this.installation.from }, `installed ${this.installation.to}`);
    });
  }

  private writeConflist(decision: Decision): boolean {
    return this.files(() => {
      const conflist = this.conflistOf(decision);
      if (!conflist) return;
      if (putConflist(conflist.path, conflist.text)) this.log.info(`wrote ${conflist.path}`);
      const first = shadowedBy(this.settings.confDir, this.settings.conflist ?? '');
      if (first !== undefined) this.once(`${first} comes first: runtimes use it until it is moved away`);
    });
  }

  private files(body: () => void): boolean {
    try {
      body();
      return true;
    } catch (error) {
      this.metrics.errors.inc({ in: 'files' });
      this.log.error((error as Error).message);
      return false;
    }
  }

  private once(warning: string): void {
    if (this.saidOnce.has(warning)) return;
    this.saidOnce.add(warning);
    this.log.warn(warning);
  }

  /** A line for each problem that is new, and for each that is over. */
  private report(found: readonly Problem[]): void {
    this.metrics.setProblems(found);
    const now = new Map(found.map((problem) => [`${problem.node} ${problem.problem} ${problem.what}`, problem]));
    for (const [key, problem] of now) {
      if (!this.reported.has(key)) this.log.warn({ ...problem }, sentence(problem));
    }
    for (const [key, problem] of this.reported)
      if (!now.has(key)) this.log.info({ ...problem }, `over: ${sentence(problem)}`);
    this.reported = now;
  }
}

const sentence = ({ node, problem, what }: Problem): string =>
  `${node === '' ? 'a route' : `node ${node}`} ${aboutProblem[problem]}${what === '' ? '' : ` (${what})`}`;
