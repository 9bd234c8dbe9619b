import { CniError, code } from '../cni/error.ts';
import { formatPrefix, type Prefix } from '../ip/prefix.ts';
import { aggregate } from '../ip/prefix-map.ts';

/** What a conflist has to say of this node. */
export interface ConflistFacts {
  ranges: readonly Prefix[]; // of the node's pods
  mtu: number; // bytes
  /** The ranges of all pods: pods reach them with their own addresses. */
  cluster: readonly Prefix[];
}

type Json = Record<string, unknown>;

/** cniVersion is for runtimes that know no more than 1.0.0; those that read cniVersions take the last one. */
const builtIn: Json = {
  cniVersion: '1.0.0',
  cniVersions: ['1.0.0', '1.1.0'],
  name: 'pods',
  plugins: [
    {
      type: 'tsbridge',
      capabilities: { portMappings: true },
      bridge: 'cni0',
      isDefaultGateway: true,
      hairpinMode: true,
      ipMasq: true,
      ipam: { type: 'host-local' },
    },
  ],
};

/** A template, from the text of its file or as it is built in. Throws CniError 7: no JSON, or no plugin tsbridge in it. */
export function readTemplate(text: string | undefined, path = 'the template'): Json {
  const fail = (problem: string): never => {
    throw new CniError(code.invalidNetworkConfig, `${path}: ${problem}`);
  };
  let template: unknown = builtIn;
  if (text !== undefined) {
    try {
      template = JSON.parse(text);
    } catch (error) {
      fail(`no JSON: ${(error as Error).message}`);
    }
  }
  if (!isRecord(template) || !Array.isArray(template.plugins)) return fail('expected a conflist: {"plugins": [...]}');
  if (typeof template.name !== 'string') return fail('a conflist needs a "name"');
  if (!template.plugins.some(isOurs)) return fail('none of its plugins has the type tsbridge');
  return template;
}

/** The conflist of this node: the template, and what its plugin tsbridge lacks of MTU, ranges, and prefixes that are not masqueraded. */
export function renderConflist(template: Json, { ranges, mtu, cluster }: ConflistFacts): string {
  const plugins = (template.plugins as unknown[]).map((plugin) => {
    if (!isOurs(plugin)) return plugin;
    const ipam = isRecord(plugin.ipam) ? plugin.ipam : { type: 'host-local' };
    const hasRanges = 'ranges' in ipam || 'subnet' in ipam;
    return {
      ...plugin,
      ...('mtu' in plugin ? {} : { mtu }),
      ...('nonMasqueradeCIDRs' in plugin || !plugin.ipMasq ? {} : { nonMasqueradeCIDRs: aggregate(cluster) }),
      ipam: hasRanges ? ipam : { ...ipam, ranges: rangeSets(ranges) },
    };
  });
  return `${JSON.stringify({ ...template, plugins }, null, 2)}\n`;
}

/** One set for each family: a pod gets an address of every set. */
const rangeSets = (ranges: readonly Prefix[]) =>
  ([4, 6] as const)
    .map((family) =>
      ranges.filter((range) => range.family === family).map((range) => ({ subnet: formatPrefix(range) })),
    )
    .filter((set) => set.length > 0);

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isOurs = (plugin: unknown): plugin is Json => isRecord(plugin) && plugin.type === 'tsbridge';
