import type { Option } from '../command-table.ts';

/** The agent's settings as they are typed, each an option with a value. */
export type AgentKey =
  | 'node'
  | 'mode'
  | 'uplink'
  | 'mtu'
  | 'clusterCidr'
  | 'conflist'
  | 'conflistTemplate'
  | 'binDir'
  | 'executable'
  | 'kubeconfig'
  | 'port'
  | 'vxlanId'
  | 'vxlanPort'
  | 'removalDelay'
  | 'checkInterval'
  | 'apiTimeout'
  | 'watchIdle'
  | 'logLevel';

/** What holds where neither an option nor the environment says otherwise. What is not here depends on the node. */
export const agentDefaults = {
  mode: 'auto',
  conflist: '10-tsbridge.conflist',
  binDir: '/opt/cni/bin',
  port: '9479',
  vxlanId: '7311',
  vxlanPort: '4789',
  removalDelay: '60',
  checkInterval: '60',
  apiTimeout: '30',
  watchIdle: '150',
  logLevel: 'info',
} as const satisfies Partial<Record<AgentKey, string>>;

const d = agentDefaults;

export const agentOptions: readonly (Option & { key: AgentKey })[] = [
  {
    name: '--node',
    value: 'NAME',
    key: 'node',
    about: "the name of this machine's Node object, by default $NODE_NAME, else the host's name",
  },
  {
    name: '--mode',
    value: 'MODE',
    key: 'mode',
    about: `direct: routes by way of nodes on the same link; vxlan: by way of a VXLAN device; auto: direct where that goes, vxlan elsewhere; by \
default ${d.mode}. The same on all nodes`,
  },
  {
    name: '--uplink',
    value: 'DEV|ADDRESS',
    key: 'uplink',
    about: `the interface to other nodes, or the own address of each family (A,B), by default what has the node's InternalIP, else what has the \
default route`,
  },
  {
    name: '--mtu',
    value: 'BYTES',
    key: 'mtu',
    about:
      "of pods' interfaces, by default the uplink's, less 50 for VXLAN, or 70 over IPv6, unless the mode is direct",
  },
  {
    name: '--cluster-cidr',
    value: 'PREFIXES',
    key: 'clusterCidr',
    about: `the ranges of all pods (A,B): what a node has outside of them is refused, and pods reach them with their own addresses; by default \
these are the ranges of the nodes`,
  },
  {
    name: '--conflist',
    value: 'NAME',
    key: 'conflist',
    about: `the file to write in --conf-dir, by default ${d.conflist}; none: no file`,
  },
  {
    name: '--conflist-template',
    value: 'FILE',
    key: 'conflistTemplate',
    about: `a conflist whose plugin tsbridge is given what it lacks of mtu, nonMasqueradeCIDRs and ipam.ranges; by default one with the bridge \
cni0, masquerading, host ports and hairpin mode`,
  },
  { name: '--bin-dir', value: 'DIR', key: 'binDir', about: `where the plugin is installed, by default ${d.binDir}` },
  {
    name: '--executable',
    value: 'FILE',
    key: 'executable',
    about:
      'the plugin to install there, by default tsbridge-static beside this executable, if it is there; none: nothing',
  },
  {
    name: '--kubeconfig',
    value: 'FILE',
    key: 'kubeconfig',
    about: 'how to reach the API server, by default as a pod of the cluster, else $KUBECONFIG, else ~/.kube/config',
  },
  {
    name: '--port',
    value: 'N',
    key: 'port',
    about: `for /healthz, /readyz and /metrics on 127.0.0.1, by default ${d.port}; 0: none`,
  },
  { name: '--vxlan-id', value: 'N', key: 'vxlanId', about: `the VXLAN network, by default ${d.vxlanId}` },
  { name: '--vxlan-port', value: 'N', key: 'vxlanPort', about: `its UDP port, by default ${d.vxlanPort}` },
  {
    name: '--removal-delay',
    value: 'SECONDS',
    key: 'removalDelay',
    about: `how long routes stay of nodes that are missing in a list, until a second list is asked for, by default ${d.removalDelay}`,
  },
  {
    name: '--check-interval',
    value: 'SECONDS',
    key: 'checkInterval',
    about: `how often to look whether all is there, beside at once when the kernel tells of a change, by default ${d.checkInterval}`,
  },
  {
    name: '--api-timeout',
    value: 'SECONDS',
    key: 'apiTimeout',
    about: `for an answer of the API server, by default ${d.apiTimeout}`,
  },
  {
    name: '--watch-idle',
    value: 'SECONDS',
    key: 'watchIdle',
    about: `how long nothing may come from the API server, which sends something every minute, by default ${d.watchIdle}`,
  },
  {
    name: '--log-level',
    value: 'LEVEL',
    key: 'logLevel',
    about: `debug, info, warn or error, by default ${d.logLevel}; logs go to stderr`,
  },
];

/** The variable of the environment that says the same as an option: `TSBRIDGE_AGENT_CLUSTER_CIDR`. */
export const agentVariable = (option: string): string =>
  `TSBRIDGE_AGENT_${option.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`;
