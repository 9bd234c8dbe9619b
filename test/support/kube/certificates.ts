import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../command.ts';

/** A certificate authority of one test, and what it has signed. All of it PEM. */
export interface Certificates {
  ca: string;
  cert: string;
  key: string;
}

/** Makes a certificate authority and a server's certificate for these names and addresses, as kubeadm does. */
export function makeCertificates(names: readonly string[]): Certificates {
  const dir = mkdtempSync(join(tmpdir(), 'certificates-'));
  const file = (name: string) => join(dir, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const request = (subject: string, name: string) => [
    ...['openssl', 'req', '-x509', ...key, '-days', '2', '-subj', `/CN=${subject}`],
    ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)],
  ];
  const alternatives = names.map((name) => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  try {
    // Not the machine's openssl.cnf, which may add extensions of its own.
    writeFileSync(file('empty.cnf'), '[req]\ndistinguished_name = name\n[name]\n');
    const config = ['-config', file('empty.cnf')];
    run([
      ...request('test-ca', 'ca'),
      ...config,
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
      ...['-addext', 'subjectKeyIdentifier=hash'],
    ]);
    run([
      ...request('kube-apiserver', 'server'),
      ...config,
      ...['-CA', file('ca.pem'), '-CAkey', file('ca.key')],
      ...['-addext', `subjectAltName=${alternatives}`, '-addext', 'extendedKeyUsage=serverAuth'],
      ...['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'authorityKeyIdentifier=keyid'],
    ]);
    const read = (name: string) => readFileSync(file(name), 'utf8');
    return { ca: read('ca.pem'), cert: read('server.pem'), key: read('server.key') };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
