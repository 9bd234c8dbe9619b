import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { shWords } from '../support/command.ts';

/** One call of the plugin as a runtime made it: what it sent, and what it was answered. */
export interface Recording {
  /** The variables whose names begin with CNI_. One that the runtime did not set is absent. */
  env: Record<string, string>;
  stdin: string;
  stdout: string;
  status: number;
}

/** A plugin that notes what it is sent under /run/recorded and hands it to the executable `path`. */
export function recorder(path: string): string {
  return `#!/bin/sh
# The directory's name sorts by time; dot: not complete yet.
call=/run/recorded/$(date +%s%N)-$$
hidden=/run/recorded/.$$
mkdir "$hidden"
env -0 >"$hidden/env"
cat >"$hidden/stdin"
${shWords([path])} <"$hidden/stdin" >"$hidden/stdout"
status=$?
echo $status >"$hidden/status"
cat "$hidden/stdout"
mv "$hidden" "$call"
exit $status
`;
}

/** The recordings of a directory, in the order in which the calls began. */
export function recordingsIn(dir: string): Recording[] {
  const calls = readdirSync(dir).filter((name) => !name.startsWith('.'));
  return calls.sort().map((name) => {
    const text = (file: string) => readFileSync(join(dir, name, file), 'utf8');
    const variables = text('env')
      .split('\0')
      .filter((variable) => variable.startsWith('CNI_'));
    const env = Object.fromEntries(variables.map((variable) => splitOnce(variable, '=')));
    return { env, stdin: text('stdin'), stdout: text('stdout'), status: Number(text('status')) };
  });
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + separator.length)];
}
