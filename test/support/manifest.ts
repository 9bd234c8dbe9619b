import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export const deployFile = (name: string) => fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));

/** What is common to all objects of a manifest. */
export interface ManifestObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** The part of a DaemonSet that its containers are started by. */
export interface AgentContainer {
  image: string;
  args: string[];
  env: { name: string; value?: string; valueFrom?: { fieldRef: { fieldPath: string } } }[];
  securityContext: {
    runAsUser: number;
    privileged: boolean;
    allowPrivilegeEscalation: boolean;
    readOnlyRootFilesystem: boolean;
    capabilities: { drop: string[]; add: string[] };
  };
  livenessProbe: { httpGet: { host: string; port: number; path: string } };
  readinessProbe: { httpGet: { host: string; port: number; path: string } };
  resources: { requests: Record<string, string> };
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}

/** The objects of deploy/tsbridge.yaml in their order. */
export function manifest(): ManifestObject[] {
  const documents = parseAllDocuments(readFileSync(deployFile('tsbridge.yaml'), 'utf8'), { uniqueKeys: true });
  return documents.map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw problem;
    return document.toJS();
  });
}

/** The object of a kind; a manifest has one of each. */
// biome-ignore lint/suspicious/noExplicitAny: free-form objects, compared by path
export function objectOf(kind: string): any {
  const found = manifest().filter((object) => object.kind === kind);
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind}`);
  return found[0];
}

export function agentContainer(): AgentContainer {
  const { containers } = objectOf('DaemonSet').spec.template.spec;
  if (containers.length !== 1) throw new Error(`${containers.length} containers`);
  return containers[0];
}
