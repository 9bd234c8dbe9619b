import { asCniError, CniError, code } from '../../cni/error.ts';
import type { Host } from '../../host.ts';
import { readdir, readFile } from '../../linux/files.ts';
import { oneLine } from '../../log/one-line.ts';
import { runtimeOf } from '../capabilities.ts';
import type { CliOptions } from '../command-table.ts';
import { confDirOf, isStdinMeant } from '../network-files.ts';
import { type Style, styleFor } from '../text/style.ts';
import { wrap } from '../text/wrap.ts';
import { type Examined, examine, type Remark } from './examine.ts';
import { readNodeAround } from './unwise.ts';

/**
 * `tsbridge check-config FILE…`: everything that is wrong with configurations, and what may surprise, each with its place in the file; of those
 * that are right what the plugin makes of them. Exit status 1 when something is wrong; with --strict, also when something may surprise.
 * Throws CniError when there is nothing to look at.
 */
export async function checkConfigCommand(
  host: Host,
  _: string | undefined,
  options: CliOptions,
  files: readonly string[],
): Promise<number> {
  const around = { node: readNodeAround(host, options), runtime: runtimeOf(options) };
  const examined =
    files.length > 0 ? files.map((file) => examine(file, read(file), around)) : unnamed(host, options, around);
  const isWrong = examined.some(({ remarks }) => remarks.some(({ isError }) => isError || options.strict === true));
  if (options.json) host.stdout(`${JSON.stringify(examined.map(asJson), null, 4)}\n`);
  else for (const one of examined) print(host, one, examined.length === 1);
  return isWrong ? 1 : 0;
}

/** What is on stdin, or every file of the folder that is a network of tsbridge, or might have been meant for one. */
function unnamed(host: Host, options: CliOptions, around: Parameters<typeof examine>[2]): Examined[] {
  if (isStdinMeant(host, options)) return [examine('', host.readStdin(), around)];
  const dir = confDirOf(options);
  const found = namesIn(dir)
    .map((name) => examine(`${dir}/${name}`, read(`${dir}/${name}`), around))
    .filter(({ isOurs }) => isOurs);
  if (found.length > 0) return found;
  throw new CniError(code.invalidNetworkConfig, `no network of tsbridge in ${dir}`, {
    details: 'name a file, write a configuration to stdin, or name another folder with --conf-dir',
  });
}

function namesIn(dir: string): string[] {
  try {
    return readdir(dir)
      .filter((name) => /\.(conf|conflist|json)$/.test(name))
      .sort();
  } catch (error) {
    throw new CniError(code.ioFailure, `cannot read ${dir}: ${asCniError(error).message}`);
  }
}

function read(file: string): Uint8Array {
  try {
    return readFile(file);
  } catch (error) {
    throw new CniError(code.ioFailure, `cannot read the network configuration: ${asCniError(error).message}`);
  }
}

const asJson = ({ file, parsed, remarks }: Examined) => ({
  file,
  ...(parsed ? { conf: parsed.conf } : {}),
  problems: remarks.map(({ isError, line, column, path, message, details }) => ({
    severity: isError ? 'error' : 'warning',
    line,
    column,
    path,
    message,
    ...(details === undefined ? {} : { details }),
  })),
});

function print(host: Host, { file, parsed, remarks }: Examined, isOnlyOne: boolean): void {
  const style = styleFor(host, 2);
  for (const remark of remarks) host.stderr(`${shown(file || '<stdin>', remark, style)}\n`);
  if (!parsed) return;
  host.stdout(`${isOnlyOne ? '' : `# ${parsed.conf.name}: ${file}\n`}${JSON.stringify(parsed.conf, null, 4)}\n`);
}

/** As compilers have it, so that editors find the place: `FILE:LINE:COLUMN: error: …` */
function shown(file: string, { isError, line, column, path, message, details }: Remark, style: Style): string {
  const what = isError ? 'error' : 'warning';
  const text = `${path === '' ? '' : `${path}: `}${message}`;
  const head = `${file}:${line}:${column}: ${what}:`;
  const more = details === undefined ? '' : `\n${wrap(oneLine(details), '    ')}`;
  const lines = wrap(oneLine(`${head} ${text}`), '    ').trimStart();
  return `${lines.replace(`${what}:`, style(isError ? 'red' : 'yellow', `${what}:`))}${more}`;
}
