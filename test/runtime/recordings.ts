import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from './plugin.ts';
import type { Recording } from './recorder.ts';

/**
 * Keeps what a runtime sent as test/runtime/recorded/NAME.json, for protocol tests that replay it without the runtime.
 * Only under TSBRIDGE_RECORD=1: a test run writes nothing into the tree.
 */
export function keep(t: { comment(text: string): void }, plugin: Plugin, name: string, recordings: Recording[]): void {
  if (process.env.TSBRIDGE_RECORD !== '1') return;
  const file = fileURLToPath(new URL(`recorded/${name}.json`, import.meta.url));
  mkdirSync(fileURLToPath(new URL('recorded', import.meta.url)), { recursive: true });
  const calls = recordings.map(({ env, stdin, stdout, status }) => ({
    env: Object.fromEntries(Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))),
    stdin: stdin.replaceAll(`"type":"${plugin.type}"`, '"type":"tsbridge"'),
    stdout,
    status,
  }));
  writeFileSync(file, `${JSON.stringify(calls, null, 2)}\n`);
  t.comment(`${calls.length} calls written to ${file}`);
}
