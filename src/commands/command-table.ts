import type { Host } from '../host.ts';
import { type AgentKey, agentOptions } from './agent/options.ts';

/** What a command is given beside its operand: the options that it takes, as they were typed. */
export interface CliOptions extends Partial<Record<AgentKey, string | undefined>> {
  json?: boolean | undefined;
  confDir?: string | undefined;
  root?: string | undefined;
  dataDir?: string | undefined;
  subnet?: string | undefined;
  to?: string | undefined;
  follow?: boolean | undefined;
  watch?: boolean | undefined;
  svg?: string | undefined;
  file?: string | undefined;
  seconds?: string | undefined;
  prune?: boolean | undefined;
  dryRun?: boolean | undefined;
  strict?: boolean | undefined;
  fix?: boolean | undefined;
  list?: boolean | undefined;
}

/** Carries a command out, and gives the exit status. Most take one operand at most, the first of `operands`. Throws CniError. */
export type Run = (
  host: Host,
  operand: string | undefined,
  options: CliOptions,
  operands: readonly string[],
) => Promise<number>;

export interface Option {
  name: `--${string}`;
  short?: `-${string}`;
  value?: string; // what stands for the value in texts; absent: the option takes none
  about: string;
  key?: keyof CliOptions; // absent: it is no business of the command
}

export interface Command {
  name: string;
  operand?: { name: string; choices?: readonly string[]; isRequired?: true; isMany?: true; before?: readonly string[] };
  summary: string; // one line of `tsbridge --help`
  about: string; // paragraphs, apart by empty lines
  options: readonly Option[]; // beside those that every command takes
  example: { line: string; about: string };
  load(): Promise<Run>;
}

/** Options that every command takes. */
export const commonOptions: readonly Option[] = [
  { name: '--json', about: 'as JSON, for programs', key: 'json' },
  {
    name: '--conf-dir',
    value: 'DIR',
    about: 'where the networks are configured, by default /etc/cni/net.d',
    key: 'confDir',
  },
  {
    name: '--root',
    value: 'DIR',
    about: 'a tree to look for these files in, instead of /: a mounted disk, another mount namespace',
    key: 'root',
  },
  { name: '--help', short: '-h', about: 'says this' },
];

/** Options of tsbridge without a command. */
export const ownOptions: readonly Option[] = [
  { name: '--version', short: '-v', about: 'the version' },
  { name: '--help', short: '-h', about: 'the commands; with a command, all about it' },
];

const dataDir: Option = {
  name: '--data-dir',
  value: 'DIR',
  about: "where the networks' leases are (ipam.dataDir), by default /var/lib/cni/networks",
  key: 'dataDir',
};

const file = { name: 'FILE' } as const;
const aboutFile = `FILE is a network configuration or a list of them. Without it, it is read from stdin; where nothing is there to be read, or \
--conf-dir or --root is given, it is every network of tsbridge in /etc/cni/net.d.`;

/** The shells that there is a completion for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

/**
 * The commands for people: help, the manual page and completions are made from this table, and it says what is loaded for each of them.
 */
export const commands: readonly Command[] = [
  {
    name: 'explain',
    operand: { name: 'FILE', before: ['ADD', 'DEL', 'CHECK'] },
    summary: 'what an ADD, DEL or CHECK would do on this host, and why',
    about: `Prints what the verb (ADD, without one) would do, a reason and the commands of ip, bridge and nft that do the same for each part of it: lines to \
be read, or pasted into a shell. CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME and CNI_ARGS say for which container; without them it is one that does not \
exist. The address is the one that is next. Changes nothing.\n\n${aboutFile}`,
    options: [{ name: '--list', about: 'other plugins of the list as well, as far as they are known', key: 'list' }],
    example: {
      line: 'tsbridge explain /etc/cni/net.d/10-pods.conflist',
      about: 'before a configuration goes to nodes',
    },
    load: async () => (await import('./explain/explain.ts')).explainCommand,
  },
  {
    name: 'check-config',
    operand: { ...file, isMany: true },
    summary: 'configurations with all defaults, or what is wrong with them',
    about: `Prints the configuration as the plugin sees it. What is wrong, and what is legal and seldom meant, goes to stderr, all of it at once, each \
with line, column and key: keys that nobody reads and what they look like, ranges that overlap with those of another network or with the node's own \
addresses, gateways outside of their subnets, capabilities that no runtime passes. The exit status is 1 when something is \
wrong.\n\n${aboutFile}`,
    options: [{ name: '--strict', about: 'the exit status is 1 for warnings, too', key: 'strict' }],
    example: { line: 'tsbridge check-config --strict *.conflist', about: 'before configurations go to nodes' },
    load: async () => (await import('./check-config/check-config.ts')).checkConfigCommand,
  },
  {
    name: 'schema',
    summary: 'the JSON Schema of configurations, for editors',
    about: `Prints a JSON Schema (draft 7) of .conf and .conflist files, made from what the plugin itself asks of a configuration: editors complete \
keys with it, and mark those that nobody reads. It is stricter than the plugin, to which a key may be in any case.`,
    options: [],
    example: { line: 'tsbridge schema > tsbridge.schema.json', about: 'for an editor to be told of it' },
    load: async () => (await import('./schema/schema.ts')).schemaCommand,
  },
  {
    name: 'status',
    operand: file,
    summary: 'what the network has used up, and whether another pod would find room',
    about: `Prints how many ports of the bridge and addresses of each range are taken. The exit status is 1 when another pod would find no \
room.\n\n${aboutFile}`,
    options: [],
    example: { line: 'tsbridge status || echo full', about: 'for a check that runs every minute' },
    load: async () => (await import('./status.ts')).statusCommand,
  },
  {
    name: 'show',
    operand: { name: 'NETWORK|BRIDGE|POD' },
    summary: 'the bridges, and which pods are on them',
    about: `Prints each bridge of the configured networks with its ports: the pod's address, container, namespace, mapped ports and traffic, and \
what is odd about it: no lease, no interface, down, another MAC address. A pod may be named by its name, with or without its namespace, by \
an address, the host's interface, or the beginning of the container ID. The exit status is 1 when something is odd.`,
    options: [
      dataDir,
      { name: '--watch', short: '-w', about: 'looks again every two seconds', key: 'watch' },
      {
        name: '--svg',
        value: 'FILE',
        about: 'writes it as a drawing for a document; nothing but an earlier drawing is replaced',
        key: 'svg',
      },
    ],
    example: { line: 'tsbridge show default/web-0', about: 'where does this pod hang?' },
    load: async () => (await import('./show/show.ts')).showCommand,
  },
  {
    name: 'logs',
    operand: { name: 'POD|CONTAINER|NETWORK' },
    summary: 'what calls have done, step by step, from the log',
    about: `Prints what "logFile" of the configured networks has, call by call: the milliseconds since the call began, how long each step took, and which \
one was the slowest. A pod may be named with or without its namespace, a container by the beginning of its ID. A log is put aside as FILE.1 when it has \
10 MiB; both are read.`,
    options: [
      { name: '--follow', short: '-f', about: 'goes on with what is logged from now on', key: 'follow' },
      { name: '--file', value: 'FILE', about: 'another log than those of the networks', key: 'file' },
    ],
    example: { line: 'tsbridge logs default/web-0', about: 'what took so long?' },
    load: async () => (await import('./logs/logs.ts')).logsCommand,
  },
  {
    name: 'trace',
    operand: { name: 'POD', isRequired: true },
    summary: 'where what a pod sends stops',
    about: `Follows packets of a pod, which may be named as for show, from its namespace to the uplink and back: interface, route, veth, port, bridge, \
routes of the node, rules that drop them, masquerading. Without --to it watches what the pod sends by itself. Rules tell by nf_tables' own tracing, which \
a table of this command's own switches on for these packets; the kernel removes it with the command, however that ends. Changes nothing else. What \
cannot be seen has a question mark: rules of the bridge family and of iptables-legacy do not tell what they drop. The exit status is 1 when something \
stops.`,
    options: [
      dataDir,
      { name: '--to', value: 'ADDRESS:PORT', about: 'has the pod try to connect there, over TCP', key: 'to' },
      { name: '--seconds', value: 'N', about: 'how long to watch, by default 5', key: 'seconds' },
    ],
    example: { line: 'tsbridge trace default/web-0 --to 192.0.2.9:443', about: 'why does it not get there?' },
    load: async () => (await import('./trace/trace.ts')).traceCommand,
  },
  {
    name: 'doctor',
    operand: { name: 'NETWORK' },
    summary: 'what is wrong on this node, what pods feel of it, and what mends it',
    about: `Looks at what the kernel has, forwarding, br_netfilter and rp_filter, chains and rules of nft and both kinds of iptables that drop what pods \
send (docker, firewalld and ufw are named), masquerading, mapped ports and checks of MAC addresses, leases without interfaces and the reverse, addresses used \
twice, MAC addresses and MTUs, gateways, routes that take pods' addresses elsewhere, and configurations that runtimes would not load, that others shadow, \
whose plugins are missing, or whose capabilities come to nothing. The exit status is 1 when something was found.\n\nWithout --fix it changes nothing. With it, what \
can be mended without a risk to running pods is, after it has been listed: what tsbridge repair and tsbridge leases --prune do.`,
    options: [dataDir, { name: '--fix', about: 'mends what is safe to mend, after listing it', key: 'fix' }],
    example: { line: 'tsbridge doctor', about: 'when a pod has no network' },
    load: async () => (await import('./doctor/doctor.ts')).doctorCommand,
  },
  {
    name: 'repair',
    operand: { name: 'NETWORK' },
    summary: 'puts back what living pods have lost',
    about: `After nft flush ruleset, a reload of a firewall, or a bridge that somebody took down or removed: sets right what ADD had made for the pods \
that are alive, from leases, interfaces and configured networks, without restarting one of them: bridges and ports that are down, ports that are on no \
bridge, addresses of gateways, MTUs, forwarding, masquerading (of nftables and iptables), checks of MAC addresses, mapped ports. Pods that the reference \
plugins have made are among them where their addresses, or what the runtime has kept of their ADD, prove which interface is theirs. Lists what it does \
first. The exit status is 1 when something could not be set right.`,
    options: [dataDir, { name: '--dry-run', about: 'lists it, and changes nothing', key: 'dryRun' }],
    example: { line: 'tsbridge repair --dry-run', about: 'what would be done' },
    load: async () => (await import('./repair/repair.ts')).repairCommand,
  },
  {
    name: 'agent',
    summary: 'makes this machine a node of a Kubernetes network, and keeps it one',
    about: `Runs until it is told to end, as a DaemonSet's pod or a systemd unit, one on each node. Watches the Node objects of the cluster; installs \
the plugin and the conflist; keeps a route to every other node's range of pods. In the Node.js build only.\n\nEvery option with a value \
can be given in the environment as well: --cluster-cidr as TSBRIDGE_AGENT_CLUSTER_CIDR. What ends the agent, and what keeps it from the \
API server, leaves all as it is.`,
    options: [
      ...agentOptions,
      { name: '--dry-run', about: 'prints what it would do now, and changes nothing', key: 'dryRun' },
    ],
    example: { line: 'tsbridge agent --dry-run --kubeconfig admin.conf', about: 'what would be done on this node' },
    load: async () => (await import('./agent/agent.ts')).agentCommand,
  },
  {
    name: 'leases',
    operand: { name: 'NETWORK' },
    summary: 'addresses that are taken, and by whom',
    about: `Prints the leases of one network, or of all: whose they are, how old, and whether their holder lives. Reads without the lock, so that \
no pod has to wait: an ADD or DEL at work may be seen half-way. Above them, how full the ranges of configured networks are. --prune does what the \
verb GC does without a list: what was made before the last boot, and what has lost its interface, is given back with all that is left of it.\n\nA \
list that does not fit the terminal goes to $PAGER, by default less, if it is a program of the system's.`,
    options: [
      dataDir,
      { name: '--subnet', value: 'PREFIX', about: 'only those in the prefix, and how many are free', key: 'subnet' },
      { name: '--prune', about: 'lists what is provably dead, and gives it back', key: 'prune' },
      { name: '--dry-run', about: 'lists what --prune would give back', key: 'dryRun' },
    ],
    example: { line: 'tsbridge leases --subnet 10.1.0.0/16', about: 'who has them, and how many are left' },
    load: async () => (await import('./leases/leases.ts')).leasesCommand,
  },
  {
    name: 'range',
    operand: { name: 'PREFIX', isRequired: true },
    summary: 'what a prefix as "subnet" of a range comes to',
    about: 'Prints the first and the last address, the gateway, and how many addresses are left for containers.',
    options: [],
    example: { line: 'tsbridge range 10.1.0.0/22', about: 'is it large enough?' },
    load: async () => (await import('./range.ts')).rangeCommand,
  },
  {
    name: 'completion',
    operand: { name: 'SHELL', choices: shells, isRequired: true },
    summary: 'what makes a shell complete commands and options',
    about: `Prints the completion for ${shells.join(', ')}.`,
    options: [],
    example: {
      line: 'tsbridge completion bash > /etc/bash_completion.d/tsbridge',
      about: 'for everybody, from the next login on',
    },
    load: async () => (await import('./help/completion.ts')).completionCommand,
  },
  {
    name: 'man',
    summary: 'the manual page',
    about: 'Prints the manual page tsbridge(8), for man(1) to be read.',
    options: [],
    example: { line: 'tsbridge man | man -l -', about: 'without installing it' },
    load: async () => (await import('./help/man-page.ts')).manCommand,
  },
];

/** How a command is called: `leases [NETWORK]`. */
export function synopsis({ name, operand }: Command): string {
  if (!operand) return name;
  const word = `${operand.choices?.join('|') ?? operand.name}${operand.isMany ? '...' : ''}`;
  const before = operand.before ? ` [${operand.before.join('|')}]` : '';
  return `${name}${before} ${operand.isRequired ? word : `[${word}]`}`;
}

/** An option as it is typed: `-h, --help`, `--data-dir DIR`. */
export const showOption = ({ name, short, value }: Option): string =>
  `${short === undefined ? '' : `${short}, `}${name}${value === undefined ? '' : ` ${value}`}`;
