import { decodeJson } from '../../cni/decode-json.ts';
import { foldKeys, isObject } from '../../cni/schema.ts';
import { lstatIfThere, readFile } from '../../linux/files.ts';
import { capabilityProblems, runtimeOf } from '../capabilities.ts';
import { confDirOf, type NetworkFile } from '../network-files.ts';
import type { Finding, Look } from './finding.ts';
import { pluginFolders } from './plugin-folders.ts';

/** Files that a runtime does not load, or never reads, plugins that are missing, and capabilities that come to nothing. */
export function fileFindings({ host, node, options, isKubernetes }: Look): Finding[] {
  const found: Finding[] = [];
  const first = new Map<string, string>();
  const folders = pluginFolders(host, options);
  const runtime = runtimeOf(options);
  for (const file of node.files) {
    const { file: path, name, types, own, problem } = file;
    if (problem !== undefined) {
      found.push({
        network: name,
        problem: `${path} is not what a runtime, or the plugin, would load`,
        evidence: problem,
        effect: 'new pods stay in ContainerCreating, or are given another network',
        remedy: `tsbridge check-config ${path}`,
      });
    }
    const before = first.get(name);
    if (before !== undefined && name !== '') {
      found.push({
        network: name,
        problem: `${path} is shadowed`,
        evidence: `${before} comes first, and has the same name`,
        effect: 'changes to this file do nothing',
        remedy: `rm ${path}`,
      });
    } else first.set(name, path);
    if (!own) continue;
    for (const { of, dirs } of folders) {
      const missing = types.filter((type) => type !== '' && !dirs.some((dir) => lstatIfThere(`${dir}/${type}`)));
      if (missing.length === 0) continue;
      found.push({
        network: name,
        problem: `a plugin of ${path} is missing: ${missing.join(', ')}`,
        evidence: `not in ${dirs.join(', ')}, where ${of} looks`,
        effect: 'every ADD fails: new pods stay in ContainerCreating',
        remedy: 'install it there, or take it out of the list',
      });
    }
    for (const { path: key, message } of capabilityProblems(pluginsIn(path), runtime)) {
      found.push({
        network: name,
        problem: `${path}: ${key} comes to nothing`,
        evidence: message,
        effect: 'what pods ask for with it (host ports, addresses, bandwidth) they are not given',
        remedy: `change ${key}; tsbridge check-config ${path}`,
      });
    }
  }
  if (!node.files.some(({ own, problem }) => own || problem !== undefined))
    found.push(noNetwork(node.files, confDirOf(options)));
  if (isKubernetes) found.push(...behindOthers(node.files, confDirOf(options)));
  return found;
}

function pluginsIn(path: string): { path: string; json: object }[] {
  const json = decodeJson(readFile(path), 'network configuration');
  const { plugins } = foldKeys(json, ['plugins']);
  if (!Array.isArray(plugins)) return [{ path: '', json }];
  return plugins.flatMap((one: unknown, i) => (isObject(one) ? [{ path: `plugins[${i}]`, json: one }] : []));
}

function noNetwork(files: readonly NetworkFile[], dir: string): Finding {
  const others = files.map(({ file, types }) => `${file} (${types.join(', ')})`);
  return {
    network: '',
    problem: 'no network of tsbridge is configured',
    evidence: others.length === 0 ? `no file in ${dir}` : `${dir} has ${others.join(', ')}`,
    effect: 'new pods are given the network of another plugin, or stay in ContainerCreating',
    remedy: `put one into ${dir}: tsbridge check-config says whether it is right`,
  };
}

/** Of all networks the CRI gives pods the first: containerd's max_conf_num is 1, and CRI-O's default network the first by name. */
function behindOthers(files: readonly NetworkFile[], dir: string): Finding[] {
  const [first] = files;
  const own = files.find((file) => file.own);
  if (!own || !first || first.own) return [];
  return [
    {
      network: own.name,
      problem: `pods are not given this network, but ${first.name || 'another one'}`,
      evidence: `${first.file} comes before ${own.file} in ${dir}`,
      effect: 'new pods have the addresses of another network, and do not reach those that are on this one',
      remedy: `rename one of them, so that ${own.file} comes first`,
    },
  ];
}
