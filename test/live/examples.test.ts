import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Command } from '../support/cni.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// Every file of conf/ is run as a runtime runs it: the plugins of a list in turn, in reverse for DEL.

const directory = fileURLToPath(new URL('../../conf/', import.meta.url));
const files = readdirSync(directory).filter((name) => /\.conf(list)?$/.test(name));

type Plugin = Record<string, unknown> & { type: string; capabilities?: Record<string, boolean> };

/** What each example promises. */
const promises: Record<string, { addresses: string[]; gateways: string[]; defaultRoutes: string[] }> = {
  '10-local.conf': { addresses: ['10.1.0.2/16'], gateways: [], defaultRoutes: [] },
  '10-pods.conf': { addresses: ['10.244.1.2/24'], gateways: ['10.244.1.1'], defaultRoutes: ['10.244.1.1'] },
  '10-kubeadm.conflist': {
    addresses: ['10.244.0.2/24'],
    gateways: ['10.244.0.1'],
    defaultRoutes: ['10.244.0.1'],
  },
  '10-dualstack.conflist': {
    addresses: ['10.244.0.2/24', 'fd00:10:244::2/64'],
    gateways: ['10.244.0.1', 'fd00:10:244::1'],
    defaultRoutes: ['10.244.0.1', 'fd00:10:244::1'],
  },
};

t.strictSame(files.sort(), Object.keys(promises).sort(), 'every example is run here');

t.test('conf/README.md tells of every example', (t) => {
  const readme = readFileSync(`${directory}/README.md`, 'utf8');
  t.strictSame(
    files.filter((file) => !readme.includes(`\`${file}\``)),
    [],
  );
  t.end();
});

/** Runs a network's plugins for one container. SPEC "Section 3: Execution of Network Configurations". */
function execute(
  host: Host,
  network: ReturnType<typeof parse>,
  command: Command,
  container: Container,
  prevResult?: unknown,
) {
  let previous = prevResult;
  for (const plugin of command === 'DEL' ? network.plugins.toReversed() : network.plugins) {
    // portmap 1.1 looks for a dual-stack pod's IPv4 rule with ip6tables.
    if (command === 'CHECK' && plugin.type === 'portmap') continue;
    // A port for each pod.
    const hostPort = 8000 + Number(container.name.replace(/\D/g, ''));
    const runtimeConfig = plugin.capabilities?.portMappings
      ? { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] }
      : undefined;
    const outcome = host.cni({
      command,
      container,
      plugin: plugin.type === 'tsbridge' ? (host.plugin ?? '') : plugin.type,
      conf: { ...plugin, cniVersion: network.cniVersion, name: network.name, ...(runtimeConfig && { runtimeConfig }) },
      prevResult: previous,
    });
    if (outcome.status !== 0) throw new Error(`${plugin.type} ${command}: ${outcome.stdout}${outcome.stderr}`);
    if (command === 'ADD') previous = outcome.json;
  }
  return previous as { ips: { address: string }[] };
}

function parse(file: string): { cniVersion: string; name: string; plugins: Plugin[] } {
  const network = JSON.parse(readFileSync(directory + file, 'utf8'));
  return network.plugins ? network : { cniVersion: network.cniVersion, name: network.name, plugins: [network] };
}

for (const build of builds) {
  for (const file of files) {
    t.test(`conf/${file} with the ${build.name} build`, { skip: missing('ping', 'nft', 'iptables') }, async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const network = parse(file);
      const promised = promises[file];
      const [a, b] = [host.container(), host.container()];

      const result = execute(host, network, 'ADD', a);
      t.strictSame(
        result.ips.map(({ address }) => address),
        promised?.addresses,
      );
      execute(host, network, 'ADD', b);
      for (const gateway of promised?.gateways ?? []) t.ok(a.canReach(gateway), `the gateway ${gateway} answers`);
      for (const { address } of result.ips) {
        const [ip = ''] = address.split('/');
        t.ok(b.canReach(ip), `a second pod reaches ${ip}`);
      }
      const routes = [...a.ip('-4', 'route', 'show', 'default'), ...a.ip('-6', 'route', 'show', 'default')];
      t.strictSame(
        routes.map(({ gateway }: { gateway: string }) => gateway),
        promised?.defaultRoutes,
      );

      execute(host, network, 'CHECK', a, result);
      if (network.plugins.some(({ capabilities }) => capabilities?.portMappings)) {
        const [ip = ''] = result.ips[0]?.address.split('/') ?? [];
        t.match(host.run(['nft', 'list', 'map', 'inet', 'tsbridge', 'ports4']), `: ${ip} . 80`, 'its port is mapped');
      }
      for (const pod of [a, b, b]) execute(host, network, 'DEL', pod, result);
      t.strictSame(host.leftovers(), []);
    });
  }
}
