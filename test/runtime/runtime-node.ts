import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { attempt, type CommandOptions, type Outcome, run } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { referencePlugins } from '../support/reference-plugins.ts';
import type { Plugin } from './plugin.ts';
import { type Recording, recorder, recordingsIn } from './recorder.ts';

/**
 * A throwaway host becomes a node that container runtimes can live on: pid, ipc, uts and cgroup namespaces, and a cgroup
 * of its own in every hierarchy. Its first process reads this process's pipe: when the test ends, however it ends, every
 * process of the node ends, and the shell around it takes the cgroups away.
 *
 * $1: the cgroup's name, $2: the script of the first process.
 */
const enter = `
set -e
umount /sys # the host's bare one lies over the machine's, where the cgroup hierarchies are mounted
hierarchies=$(for file in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
  [ ! -e "$file" ] || echo "\${file%/cgroup.procs}"
done)
# On a machine with version 2 alone, only what is mounted there is a hierarchy and not one of its groups.
[ ! -e /sys/fs/cgroup/cgroup.procs ] || hierarchies=/sys/fs/cgroup
for hierarchy in $hierarchies; do
  mkdir -p "$hierarchy/$1"
  # Version 1: a new cpuset has neither processors nor memory, and takes no process before it has. cpuset(7)
  for file in cpuset.cpus cpuset.mems; do
    [ ! -e "$hierarchy/cgroup.clone_children" ] || [ ! -e "$hierarchy/$file" ] || cat "$hierarchy/$file" > "$hierarchy/$1/$file"
  done
  echo $$ > "$hierarchy/$1/cgroup.procs"
done
unshare --mount --pid --ipc --uts --cgroup --fork --kill-child --propagation private --mount-proc bash -c "$2" init "$hierarchies" || true
for hierarchy in $hierarchies; do
  echo $$ > "$hierarchy/cgroup.procs"
  find "$hierarchy/$1" -depth -type d -exec rmdir {} ';' 2>/dev/null || true
done
`;

const init = `
set -e
grep ' - cgroup' /proc/self/mountinfo > /run/cgroups
umount -R /sys # the cgroup mounts of the machine show other processes' groups
mount -t sysfs sysfs /sys
if [ "$1" = /sys/fs/cgroup ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs cgroup /sys/fs/cgroup
  while read -r _ _ _ _ at rest; do
    superblock=\${rest##* }
    mkdir -p "$at"
    case "$rest" in
      *' - cgroup2 '*) mount -t cgroup2 cgroup2 "$at" ;;
      *) mount -t cgroup -o "\${superblock#rw,}" cgroup "$at" ;;
    esac
  done < /run/cgroups
fi
for directory in etc opt; do # what is written there stays in the node
  mkdir -p /run/overlay/$directory/upper /run/overlay/$directory/work
  mount -t overlay -o "lowerdir=/$directory,upperdir=/run/overlay/$directory/upper,workdir=/run/overlay/$directory/work" overlay /$directory
done
rm -rf /etc/cni /opt/cni
mkdir -p /opt/cni/bin /etc/cni/net.d /run/recorded /run/lock
hostname node
echo ready
# Returns when the test's end of the pipe closes. bash, unlike dash, buries orphans meanwhile.
read -r _ || true
`;

/** Host ends, leases and rules are the host's; processes, mounts and sockets are the node's. */
export class RuntimeNode {
  readonly host: Host;
  readonly plugin: Plugin;
  readonly #holder: ChildProcess;
  readonly #init: number;

  private constructor(host: Host, plugin: Plugin, holder: ChildProcess, initPid: number) {
    this.host = host;
    this.plugin = plugin;
    this.#holder = holder;
    this.#init = initPid;
  }

  /** A node with the plugin under test and the reference plugins in /opt/cni/bin. It vanishes with the test. */
  static async create(t: { teardown(fn: () => unknown): void }, plugin: Plugin): Promise<RuntimeNode> {
    const host = await Host.create(t, { plugin: plugin.path });
    const [file = '', ...args] = host.inside([
      'unshare',
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      enter,
      'enter',
      `tsbridge-test-${host.pid}`,
      init,
    ]);
    const holder = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let stderr = '';
    holder.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = new Promise<void>((resolve) => holder.once('exit', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      holder.once('exit', () => reject(new Error(`cannot make a node: ${stderr}`)));
      holder.stdout.once('data', () => resolve());
    });
    const initPid = onlyChild(onlyChild(holder.pid ?? 0));
    const node = new RuntimeNode(host, plugin, holder, initPid);
    t.teardown(async () => {
      node.#holder.stdin?.end();
      await ended;
    });
    node.#installPlugins();
    return node;
  }

  /** Every plugin of Debian's package, and in front of the one under test a shell script that notes what it is sent. */
  #installPlugins(): void {
    for (const name of readdirSync(referencePlugins)) {
      this.run(['ln', '-s', `${referencePlugins}/${name}`, `/opt/cni/bin/${name}`]);
    }
    this.installAs(this.plugin.type);
  }

  /** Puts the plugin under test, behind the recorder, in place under a name. */
  installAs(name: string): void {
    this.run(['rm', '-f', `/opt/cni/bin/${name}`]);
    this.write(`/opt/cni/bin/${name}`, recorder(this.plugin.path), 0o755);
  }

  /** What the plugin under test was sent so far, and what it answered, in order. */
  recordings(): Recording[] {
    return recordingsIn(this.outer('/run/recorded'));
  }

  forgetRecordings(): void {
    this.run(['find', '/run/recorded', '-mindepth', '1', '-delete']);
  }

  /** A path inside the node as a path for this process. */
  outer(path: string): string {
    return `/proc/${this.#init}/root${path}`;
  }

  write(path: string, content: string | object, mode = 0o644): void {
    const text = typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`;
    writeFileSync(this.outer(path), text, { mode });
  }

  read(path: string): string {
    return readFileSync(this.outer(path), 'utf8');
  }

  /** The words that run a command inside the node. */
  inside(argv: readonly string[]): string[] {
    const namespaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--cgroup'];
    return ['nsenter', `--target=${this.#init}`, ...namespaces, '--', ...argv];
  }

  /** Runs a command in the node; throws if it fails. Gives its stdout. */
  run(argv: readonly string[], options?: CommandOptions): string {
    return run(this.inside(argv), options);
  }

  /** Runs a command in the node, whatever its exit status. */
  attempt(argv: readonly string[], options?: CommandOptions): Outcome {
    return attempt(this.inside(argv), options);
  }

  /** Starts a daemon in the node and in its cgroups, which ends with it. Its output is kept in the file `log`. */
  daemon(argv: readonly string[], log: string): ChildProcess {
    const join = 'for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do echo $$ >$procs; done';
    const [file = '', ...args] = this.inside([
      'sh',
      '-c',
      `{ ${join}; } 2>/dev/null; exec "$@" >>${log} 2>&1`,
      'daemon',
      ...argv,
    ]);
    const child = spawn(file, args, { stdio: 'ignore' });
    child.unref();
    return child;
  }

  /** The words of a runtime's own files, for a failing test's diagnosis. */
  log(path: string): string {
    return this.attempt(['tail', '-n', '40', path]).stdout;
  }
}

function onlyChild(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}
