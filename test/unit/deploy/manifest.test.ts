import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as apps from 'kubernetes-models/apps/v1';
import * as rbac from 'kubernetes-models/rbac.authorization.k8s.io/v1';
import * as core from 'kubernetes-models/v1';
import t from 'tap';
import { attempt } from '../../support/command.ts';
import { agentContainer, deployFile, type ManifestObject, manifest, objectOf } from '../../support/manifest.ts';
import { notInstalled } from '../../support/requirements.ts';

// deploy/tsbridge.yaml: what Kubernetes' published schema says of it, and what we do.

/** Checks of values, made from Kubernetes' OpenAPI schema, and types, which know the names of all fields. */
const models: Record<string, { model: new (data: never) => { validate(): void }; from: string }> = {
  'v1 ServiceAccount': { model: core.ServiceAccount, from: 'kubernetes-models/v1' },
  'rbac.authorization.k8s.io/v1 ClusterRole': {
    model: rbac.ClusterRole,
    from: 'kubernetes-models/rbac.authorization.k8s.io/v1',
  },
  'rbac.authorization.k8s.io/v1 ClusterRoleBinding': {
    model: rbac.ClusterRoleBinding,
    from: 'kubernetes-models/rbac.authorization.k8s.io/v1',
  },
  'apps/v1 DaemonSet': { model: apps.DaemonSet, from: 'kubernetes-models/apps/v1' },
};

const modelOf = ({ apiVersion, kind }: ManifestObject) => models[`${apiVersion} ${kind}`];

/** What the schema has against an object's values; '' if nothing. */
function invalid(object: ManifestObject): string {
  const known = modelOf(object);
  if (!known) return `no schema of ${object.apiVersion} ${object.kind}`;
  try {
    new known.model(object as never).validate();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

/** What the schema has against the names of fields: the API server drops those that it does not know, without a word. */
function unknownFields(objects: ManifestObject[]): string {
  const lines = objects.map((object, n) => {
    const { from } = modelOf(object) ?? {};
    return `import type { I${object.kind} as T${n} } from '${from}';\nexport const o${n}: T${n} = ${JSON.stringify(object)};`;
  });
  // Below the project, so that the packages are found.
  const build = fileURLToPath(new URL('../../../build/', import.meta.url));
  mkdirSync(build, { recursive: true });
  const file = join(build, `manifest-${process.pid}.ts`);
  writeFileSync(file, lines.join('\n'));
  try {
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024'];
    // Not with tap's own options for Node.js, which tap gives to whatever is started.
    const words = ['env', '-u', 'NODE_OPTIONS', 'tsc', '--ignoreConfig', '--pretty', 'false', ...options, file];
    const { status, stdout, stderr } = attempt(words);
    return status === 0 ? '' : stdout + stderr;
  } finally {
    rmSync(file);
  }
}

t.test('every object is as the schema of its kind has it', async (t) => {
  const objects = manifest();
  t.strictSame(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? '-'}/${metadata.name}`),
    [
      'ServiceAccount kube-system/tsbridge',
      'ClusterRole -/tsbridge',
      'ClusterRoleBinding -/tsbridge',
      'DaemonSet kube-system/tsbridge',
    ],
  );
  for (const object of objects) t.equal(invalid(object), '', `${object.kind}: values`);
  t.equal(unknownFields(objects), '', 'names');
});

t.test('these checks find what is wrong', async (t) => {
  const daemonSet = objectOf('DaemonSet');
  const { containers } = daemonSet.spec.template.spec;
  containers[0].livenessProbe.httpGet.port = { number: 1 };
  t.match(invalid(daemonSet), /livenessProbe/, 'a value of a wrong type');
  const nameless = objectOf('DaemonSet');
  delete nameless.spec.template.spec.containers[0].name;
  t.match(invalid(nameless), /name/, 'a field that is missing');
  const misspelt = objectOf('DaemonSet');
  misspelt.spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem = true;
  t.match(unknownFields([misspelt]), /readOnlyRootFileSystem/, 'a field that does not exist');
});

t.test('the rights: to read nodes, and no more', async (t) => {
  t.strictSame(objectOf('ClusterRole').rules, [
    { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
  ]);
  const { roleRef, subjects } = objectOf('ClusterRoleBinding');
  t.match(roleRef, { kind: 'ClusterRole', name: objectOf('ClusterRole').metadata.name });
  const { metadata } = objectOf('ServiceAccount');
  t.strictSame(subjects, [{ kind: 'ServiceAccount', name: metadata.name, namespace: metadata.namespace }]);
  const { serviceAccountName, automountServiceAccountToken } = objectOf('DaemonSet').spec.template.spec;
  t.strictSame([serviceAccountName, automountServiceAccountToken], [metadata.name, true]);
  t.equal(objectOf('ServiceAccount').automountServiceAccountToken, false, 'no other pod gets the token unasked');
});

t.test('on every node, with as little of it as will do', async (t) => {
  const { spec } = objectOf('DaemonSet');
  t.strictSame(spec.selector.matchLabels, spec.template.metadata.labels);
  const pod = spec.template.spec;
  t.match(pod, { hostNetwork: true, priorityClassName: 'system-node-critical', tolerations: [{ operator: 'Exists' }] });
  t.notOk(pod.hostPID || pod.hostIPC);
  t.equal(spec.updateStrategy.type, 'RollingUpdate');
  const container = agentContainer();
  t.match(container.securityContext, {
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
  });
  t.strictSame(
    Object.fromEntries(
      pod.volumes.map(({ name, hostPath }: { name: string; hostPath: object }) => [name, hostPath] as const),
    ),
    Object.fromEntries(
      container.volumeMounts.map(({ name, mountPath }) => [name, { path: mountPath, type: 'DirectoryOrCreate' }]),
    ),
    'a directory is where it is on the node, so that messages name it rightly',
  );
  t.strictSame(
    container.volumeMounts.map(({ mountPath }) => mountPath),
    ['/opt/cni/bin', '/etc/cni/net.d', '/run/tsbridge-agent'],
  );
  for (const { httpGet } of [container.livenessProbe, container.readinessProbe])
    t.match(httpGet, { host: '127.0.0.1', port: 9479 }, 'the probes ask where nobody else can');
  t.strictSame(Object.keys(container.resources.requests), ['cpu', 'memory']);
});

t.test('the image is what the Dockerfile says, and starts the agent', async (t) => {
  const instructions = readFileSync(deployFile('Dockerfile'), 'utf8').match(/^[A-Z]+ .*/gm);
  t.strictSame(instructions, ['FROM scratch', 'COPY . /', 'ENTRYPOINT ["/usr/bin/tsbridge"]', 'CMD ["agent"]']);
  t.strictSame(agentContainer().args, ['agent']);
});

t.test('the systemd unit gives the same rights', async (t) => {
  const text = readFileSync(deployFile('tsbridge-agent.service'), 'utf8');
  const lines = text.split('\n').filter((line) => /^\w+=/.test(line));
  const settings = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s) as [string, string]));
  const { securityContext, volumeMounts } = agentContainer();
  t.strictSame(
    settings.CapabilityBoundingSet?.split(' '),
    securityContext.capabilities.add.map((name) => `CAP_${name}`),
  );
  t.strictSame(
    [...(settings.ReadWritePaths ?? '').split(' '), `/run/${settings.RuntimeDirectory}`],
    volumeMounts.map(({ mountPath }) => mountPath),
    'and may write to the same directories',
  );
  t.match(settings, { NoNewPrivileges: 'yes', ProtectSystem: 'strict', Restart: 'always' });
  t.match(settings.ExecStart, / agent$/);
  await t.test('as systemd reads it', { skip: notInstalled('systemd-analyze') }, async (t) => {
    // What it has to start is not installed here.
    const here = text.replaceAll('/usr/local/bin/tsbridge', '/bin/true');
    const dir = mkdtempSync(join(tmpdir(), 'unit-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    writeFileSync(join(dir, 'tsbridge-agent.service'), here);
    const { status, stderr } = attempt(['systemd-analyze', 'verify', '--man=no', join(dir, 'tsbridge-agent.service')]);
    t.strictSame({ status, stderr }, { status: 0, stderr: '' });
  });
});
