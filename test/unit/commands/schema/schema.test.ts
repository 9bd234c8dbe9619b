import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import * as z from 'zod';
import { jsonSchema, schemaFile } from '../../../../scripts/build/json-schema.ts';
import { Call, dispatch } from '../../../../src/call.ts';
import { fakeHost } from '../../../support/fake-host.ts';
import { source } from '../../../support/source-process.ts';

const schema = JSON.parse(readFileSync(schemaFile, 'utf8'));
// As JSON, with nothing of what it was made from.
const validator = z.fromJSONSchema(schema);
const accepts = (json: unknown) => validator.safeParse(json).success;

t.test('the file is what the parser asks for', async (t) => {
  t.strictSame(schema, JSON.parse(jsonSchema()), 'or run: node --experimental-ffi scripts/build/json-schema.ts');
});

t.test('tsbridge schema prints it', async (t) => {
  const host = fakeHost({ args: ['schema'] });
  t.equal(await dispatch(host, new Call(host)), 0);
  t.strictSame(JSON.parse(host.written.stdout), schema);
});

t.test('the examples are valid', async (t) => {
  const files = globSync('conf/**/*.{conf,conflist}', { cwd: source('.') });
  t.ok(files.length >= 4);
  for (const file of files) t.ok(accepts(JSON.parse(readFileSync(source(file), 'utf8'))), file);
});

t.test('what runtimes hand over is valid', async (t) => {
  const folder = source('test/runtime/recorded');
  const seen = new Set<string>();
  for (const file of globSync('*.json', { cwd: folder })) {
    const calls: { stdin: string }[] = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    for (const { stdin } of calls) {
      const json = stdin === '' ? {} : JSON.parse(stdin);
      if (json.type !== 'tsbridge' || seen.has(stdin)) continue;
      seen.add(stdin);
      t.ok(accepts(json), `${file}: ${stdin.slice(0, 200)}`);
    }
  }
  t.ok(seen.size > 20);
});

t.test('what is wrong is refused, and so is what nobody reads', async (t) => {
  const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] };
  const conf = { cniVersion: '1.0.0', name: 'net', type: 'tsbridge', bridge: 'br0', ipam };
  const { type, bridge, ...rest } = conf;
  const list = (plugin: object) => ({ cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp', any: 1 }, plugin] });
  for (const [name, json, isValid] of [
    ['a network', conf, true],
    ['a list', list({ type, bridge, ipam }), true],
    ['of others', { ...list({ type: 'ptp' }) }, true],
    ['another IPAM plugin', { ...conf, ipam: { type: 'dhcp', daemonSocketPath: '/run/x' } }, true],
    [
      'our IPAM for another plugin',
      { ...rest, type: 'macvlan', master: 'eth0', ipam: { ...ipam, type: 'tsbridge' } },
      true,
    ],
    ['$schema', { $schema: './tsbridge.schema.json', ...conf }, true],
    ['a typo', { ...conf, brigde: 'br0' }, false],
    ['a typo in a list', list({ type, brigde: 'br0' }), false],
    ['a typo in ipam', { ...conf, ipam: { ...ipam, subet: '10.1.0.0/16' } }, false],
    [
      'a typo in a range',
      { ...conf, ipam: { ...ipam, ranges: [[{ subnet: '10.1.0.0/16', gatway: '10.1.0.1' }]] } },
      false,
    ],
    ['a typo in a route', { ...conf, ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0', via: '10.1.0.1' }] } }, false],
    [
      'a typo in our IPAM for another plugin',
      { ...rest, type: 'macvlan', ipam: { ...ipam, type: 'tsbridge', x: 1 } },
      false,
    ],
    ['a text for a number', { ...conf, mtu: '1500' }, false],
    ['a VLAN that is none', { ...conf, vlan: 5000 }, false],
    ['a text for a switch', { ...conf, ipMasq: 'true' }, false],
    ['a back end', { ...conf, ipMasq: true, ipMasqBackend: 'ebpf' }, false],
    ['a version', { ...conf, cniVersion: '2.0.0' }, false],
    ['no name', { cniVersion: '1.0.0', type: 'tsbridge' }, false],
    ['a list without plugins', { cniVersion: '1.0.0', name: 'net', plugins: [] }, false],
  ] as const) {
    t.equal(accepts(json), isValid, name);
  }
});

t.test('keys say what they do, and what they are without it', async (t) => {
  const text = JSON.stringify(schema);
  t.match(text, /"default":"cni0"/);
  t.match(text, /"description":"Leases are in <dataDir>/);
});
