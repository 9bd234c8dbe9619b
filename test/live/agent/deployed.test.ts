import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { attempt, run } from '../../support/command.ts';
import { AgentRun } from '../../support/kube/agent-run.ts';
import { Cluster, clusterPlan } from '../../support/kube/cluster.ts';
import { type ClusterNode, type ClusterPod, seenFrom, serve } from '../../support/kube/cluster-node.ts';
import { agentContainer, deployFile } from '../../support/manifest.ts';
import { missing } from '../../support/requirements.ts';

// The image's content as a root directory, and an agent in it that is started as the kubelet would by deploy/tsbridge.yaml: rights,
// directories, environment and probes are read from there.

const skip = missing('curl', 'ldd', 'setpriv', 'chroot', 'ss');
t.setTimeout(300_000);

const script = fileURLToPath(new URL('../../../scripts/image', import.meta.url));

/** Puts the image together below a cluster's directory, with the places that a container runtime mounts on. */
function assemble(directory: string): string {
  const image = join(directory, 'image');
  run([script, image]);
  for (const dir of ['proc', 'dev', 'sys', 'var/run/secrets/kubernetes.io/serviceaccount'])
    mkdirSync(join(image, dir), { recursive: true });
  writeFileSync(join(image, 'dev/null'), '');
  return image;
}

t.test('the image by itself', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'image-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const image = assemble(directory);
  const files = run(['find', image, '-type', 'f', '-printf', '%P\n']).trim().split('\n');
  const rest = files.filter((file) => !/^(usr\/)?lib(64)?\//.test(file)).sort();
  t.strictSame(rest, ['dev/null', 'etc/nsswitch.conf', 'etc/passwd', 'usr/bin/tsbridge', 'usr/bin/tsbridge-static']);
  t.ok(files.some((file) => file.includes('libatomic')) && files.some((file) => /ld-linux/.test(file)));
  t.notOk(run(['find', image, '-perm', '/6000']), 'nothing in it gives rights');
  const env = { PATH: process.env.PATH ?? '' };
  const version = attempt(['chroot', image, '/usr/bin/tsbridge', '--version'], { env });
  t.strictSame({ status: version.status, stderr: version.stderr }, { status: 0, stderr: '' });
  t.match(version.stdout, /\d+\.\d+\.\d+/);
  t.equal(attempt(['chroot', image, '/usr/bin/tsbridge-static', '--version'], { env }).stdout, version.stdout);
});

/** What the kubelet and a container runtime do for the DaemonSet's pod on a node. */
function startAsDaemonSet(
  node: ClusterNode,
  image: string,
  api: { port: number; token: string; ca: string },
): AgentRun {
  const { securityContext, volumeMounts, env, args } = agentContainer();
  const account = join(node.cluster.directory, `account-${node.name}`);
  mkdirSync(account, { recursive: true });
  writeFileSync(join(account, 'token'), api.token);
  writeFileSync(join(account, 'ca.crt'), api.ca);
  writeFileSync(join(account, 'namespace'), 'kube-system');
  const onNode: Record<string, string> = {
    '/opt/cni/bin': node.binDir,
    '/etc/cni/net.d': node.confDir,
    '/run/tsbridge-agent': '/run/tsbridge-agent',
  };
  const root = '/run/agent-root';
  node.shell(
    `[ ! -d ${root} ] || exit 0`, // a second start
    `mkdir -p ${root} /run/tsbridge-agent && mount --bind ${image} ${root}`,
    ...(securityContext.readOnlyRootFilesystem ? [`mount -o remount,bind,ro ${root}`] : []),
    `mount -t proc proc ${root}/proc && mount --bind -o ro /proc/sys ${root}/proc/sys`,
    `mount -o remount,bind,ro ${root}/proc/sys`,
    `mount --bind /dev ${root}/dev`,
    ...volumeMounts.map(({ mountPath }) => `mount --bind ${onNode[mountPath] ?? '/nowhere'} ${root}${mountPath}`),
    `mount --bind ${account} ${root}/var/run/secrets/kubernetes.io/serviceaccount`,
    `mount -o remount,bind,ro ${root}/var/run/secrets/kubernetes.io/serviceaccount`,
  );
  const router = clusterPlan[4].router(node.link);
  const variables = [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', // container runtimes' own
    ...env.map(
      ({ name, value, valueFrom }) =>
        `${name}=${value ?? { 'spec.nodeName': node.name }[valueFrom?.fieldRef.fieldPath ?? '']}`,
    ),
    `KUBERNETES_SERVICE_HOST=${router}`,
    `KUBERNETES_SERVICE_PORT=${api.port}`,
  ];
  // chroot is done with the rights that it starts with, so it has one more than the container; the agent has no use for it.
  const rights = ['all', ...securityContext.capabilities.add.map((name) => name.toLowerCase()), 'sys_chroot'];
  const bounding = rights.map((name) => (name === 'all' ? '-all' : `+${name}`)).join(',');
  const words = ['setpriv', '--bounding-set', bounding, '--inh-caps=-all'];
  if (!securityContext.allowPrivilegeEscalation) words.push('--no-new-privs');
  const [, entrypoint = ''] = /^ENTRYPOINT \["(.+)"\]$/m.exec(readFileSync(deployFile('Dockerfile'), 'utf8')) ?? [];
  const command = ['env', '-i', ...variables, ...words, 'chroot', root, entrypoint];
  node.agent = new AgentRun(
    { inside: (argv) => node.host.inside([...command, ...argv.slice(1)]) },
    args.slice(1),
    join(node.cluster.directory, `daemonset-${node.name}`),
  );
  return node.agent;
}

t.test('a cluster by the manifest', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 2] });
  const { api } = cluster;
  const image = assemble(cluster.directory);
  const account = () => ({ port: api.port, token: api.token, ca: api.certificates.ca });
  for (const node of cluster.nodes) node.register();
  const agents = cluster.nodes.map((node) => startAsDaemonSet(node, image, account()));
  t.teardown(() => {
    for (const agent of agents) agent.kill('SIGKILL');
  });
  const { livenessProbe, readinessProbe } = agentContainer();
  for (const node of cluster.nodes) {
    await node.ready();
    t.equal((await node.ask(livenessProbe.httpGet.path)).status, 200);
    t.equal((await node.ask(readinessProbe.httpGet.path)).status, 200);
    t.strictSame(node.agent?.complaints, [], 'nothing was refused to it');
    const status = readFileSync(`/proc/${node.agent?.pid}/status`, 'utf8');
    t.equal(
      Number.parseInt(/^CapEff:\s*(\S+)/m.exec(status)?.[1] ?? '', 16),
      (1 << 12) | (1 << 18),
      'NET_ADMIN, and what chroot needed',
    );
    t.equal(statSync(join(node.binDir, 'tsbridge')).mode & 0o777, 0o755);
  }
  const pods = cluster.nodes.map((node) => node.pod());
  for (const pod of pods) await serve(t, pod);
  const [a, b] = pods as [ClusterPod, ClusterPod];
  for (const f of cluster.families) {
    t.equal(await seenFrom(a.container, b.ip[f]), a.ip[f], `IPv${f}`);
    t.equal(await seenFrom(b.container, a.ip[f]), b.ip[f], 'and back');
  }
  t.strictSame(api.beyondRights, []);

  await t.test('its port is open to the node alone', async (t) => {
    const [one, two] = [cluster.node(1), cluster.node(2)];
    const url = `http://${one.address(4)}:${livenessProbe.httpGet.port}/metrics`;
    t.not(two.host.attempt(['curl', '-s', '-m', '2', url]).status, 0);
    t.not(one.host.attempt(['curl', '-s', '-m', '2', url]).status, 0);
  });

  await t.test('a token that is replaced, as the kubelet does every hour', async (t) => {
    const one = cluster.node(1);
    const file = join(cluster.directory, `account-${one.name}`, 'token');
    api.token = 'the next one';
    writeFileSync(file, api.token);
    api.dropConnections();
    cluster.api.store.delete('node-2');
    const left = await Cluster.settled(
      () => one.destinations(),
      (have) => have.length === 0,
      90_000,
    );
    t.strictSame(left, []);
  });

  await t.test('--dry-run changes nothing', async (t) => {
    const one = cluster.node(1);
    await one.agent?.stop();
    cluster.node(2).register();
    const before = one.host.run(['ip', 'link']) + one.host.run(['ip', 'route']);
    const files = readFileSync(one.conflistFile, 'utf8');
    const kubeconfig = join(cluster.directory, 'kubeconfig');
    writeFileSync(kubeconfig, api.kubeconfig(clusterPlan[4].router(1)));
    const words = ['agent', '--dry-run', '--node', one.name, '--kubeconfig', '/run/tsbridge-agent/kubeconfig'];
    one.shell(`cp ${kubeconfig} /run/tsbridge-agent/kubeconfig`);
    const { status, stdout } = await one.host.start(['chroot', '/run/agent-root', '/usr/bin/tsbridge', ...words]).done;
    t.equal(status, 0);
    t.match(stdout, /ip link add tsbridge\.vx4 .*type vxlan/);
    t.match(stdout, /ip route .*10\.244\.2\.0\/24 .*dev tsbridge\.vx4/);
    t.equal(one.host.run(['ip', 'link']) + one.host.run(['ip', 'route']), before);
    t.equal(readFileSync(one.conflistFile, 'utf8'), files);
  });
});
