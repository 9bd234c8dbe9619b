import { decodeJson } from '../../cni/decode-json.ts';
import { asCniError } from '../../cni/error.ts';
import { InvalidConf, type Problem } from '../../cni/invalid-conf.ts';
import { type Parsed, parseHead } from '../../cni/parse-netconf.ts';
import { foldKeys, found, isObject } from '../../cni/schema.ts';
import { capabilityProblems, type runtimeOf } from '../capabilities.ts';
import { ownEntryOf, parseOwn } from '../read-conf.ts';
import { unknownKeys, unknownListKeys } from '../unknown-keys.ts';
import { type Place, placesIn } from './places.ts';
import { type Node, unwise } from './unwise.ts';

/** Something to be said about a configuration. */
export interface Remark extends Place {
  isError: boolean;
  path: string; // '' for the whole
  message: string;
  details?: string | undefined;
}

/** A file that was looked at. */
export interface Examined {
  file: string; // '' for stdin
  parsed?: Parsed; // when nothing is wrong
  isOurs: boolean; // whether a plugin of it is tsbridge, as far as can be told
  remarks: Remark[]; // in the order of the file
}

/** Everything that is wrong, or unwise, with a network configuration or a list of them. Does not throw. */
export function examine(
  file: string,
  bytes: Uint8Array,
  around: { node: Node; runtime: ReturnType<typeof runtimeOf> },
): Examined {
  const remarks: Remark[] = [];
  let text: string;
  let json: object;
  try {
    ({ text, json } = decoded(bytes));
  } catch (error) {
    const { message, place } = error as NotJson;
    remarks.push({ ...place, isError: true, path: '', message });
    return { file, isOurs: true, remarks };
  }
  const places = placesIn(text);
  const say = (isError: boolean, { path, message, details }: Problem) =>
    remarks.push({ ...places.of(path), isError, path, message, ...(details === undefined ? {} : { details }) });
  const done = (rest: Pick<Examined, 'parsed' | 'isOurs'>): Examined => ({
    file,
    ...rest,
    remarks: remarks.sort((a, b) => a.line - b.line || a.column - b.column),
  });

  for (const path of places.repeated) say(false, { path, message: 'is there more than once: the last one counts' });
  const { plugins, type } = foldKeys(json, ['plugins', 'type']);
  for (const problem of listProblems(file, json, plugins)) say(true, problem);
  if (Array.isArray(plugins)) for (const problem of unknownListKeys(json).map(problemOf)) say(false, problem);
  const entries = pluginsOf(json, plugins);
  // Without a type it is taken for what it is asked about.
  const own = ownEntryOf(json) ?? (plugins === undefined && !type ? json : undefined);
  for (const problem of capabilityProblems(entries, around.runtime)) say(false, problem);
  const { cniVersion } = foldKeys(json, ['cniVersion']);
  if (cniVersion === undefined || cniVersion === '') {
    say(false, {
      path: 'cniVersion',
      message: 'missing: it counts as 0.1.0, whose results have no interfaces, and one address of each family',
    });
  }
  if (!own) {
    if (remarks.every(({ isError }) => !isError)) {
      const path = plugins === undefined ? 'type' : 'plugins';
      say(true, { path, message: 'none is of type tsbridge, or has ipam of type tsbridge' });
    }
    return done({ isOurs: false });
  }
  const { path: at } = entries.find((entry) => entry.json === own) ?? { path: '' };
  const below = (path: string) => (at === '' || isOfList(path) ? path : `${at}.${path}`);
  for (const problem of unknownKeys(own).map(problemOf)) say(false, { ...problem, path: below(problem.path) });

  // What a verb would stop at first is told, and replaced by something right, so that the rest is told as well.
  const whole: Record<string, unknown> = { ...own };
  const right: Record<string, string> = { name: 'x', type: 'tsbridge', cniVersion: '1.0.0' };
  for (const key of Object.keys(right)) {
    const source = key === 'type' ? own : json;
    const value = foldKeys(source, [key])[key];
    for (const name of Object.keys(whole)) if (name.toLowerCase() === key.toLowerCase()) delete whole[name];
    whole[key] = value;
    try {
      parseHead({ ...right, [key]: value }, 'ADD');
    } catch (error) {
      const { message, details } = asCniError(error);
      say(true, { path: key === 'type' ? below(key) : key, message: message.replace(`${key}: `, ''), details });
      whole[key] = right[key];
    }
  }
  const parse = (): Parsed | undefined => {
    try {
      return parseOwn(whole);
    } catch (thrown) {
      if (thrown instanceof InvalidConf) {
        for (const problem of thrown.problems) say(true, { ...problem, path: below(problem.path) });
        return undefined;
      }
      // What the version has no words for ends it before all else is told.
      const { message, details } = asCniError(thrown);
      say(true, { path: 'cniVersion', message: message.replace('cniVersion: ', ''), details });
      if (whole.cniVersion === right.cniVersion) return undefined;
      whole.cniVersion = right.cniVersion;
      return parse();
    }
  };
  const parsed = parse();
  if (!parsed) return done({ isOurs: true });
  for (const problem of parsed.warnings.map(problemOf)) say(false, { ...problem, path: below(problem.path) });
  const mapsPorts = entries.some(({ json: entry }) => {
    const { capabilities } = foldKeys(entry, ['capabilities']);
    return isObject(capabilities) && (capabilities as Record<string, unknown>).portMappings === true;
  });
  for (const problem of unwise(file, parsed, mapsPorts, around.node))
    say(false, { ...problem, path: below(problem.path) });
  return done({ isOurs: true, ...(remarks.some(({ isError }) => isError) ? {} : { parsed }) });
}

/** What a list has for all of its plugins. */
const isOfList = (path: string) => path === 'name' || path === 'cniVersion';

class NotJson extends Error {
  readonly place: Place;
  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/** Throws NotJson. */
function decoded(bytes: Uint8Array): { text: string; json: object } {
  let text = '';
  try {
    const json = decodeJson(bytes, 'network configuration', (one) => {
      text = one;
    });
    return { text, json };
  } catch (error) {
    const { message } = asCniError(error);
    const problem = text.trim() === '' ? undefined : placesIn(text).problem;
    throw problem
      ? new NotJson(`not JSON: ${problem.message}`, problem.place)
      : new NotJson(message, { line: 1, column: 1 });
  }
}

/** `<path>: <message>`, apart. */
function problemOf(text: string): Problem {
  const colon = text.indexOf(': ');
  return { path: text.slice(0, colon), message: text.slice(colon + 2) };
}

function pluginsOf(json: object, plugins: unknown): { path: string; json: object }[] {
  if (!Array.isArray(plugins)) return [{ path: '', json }];
  return plugins.flatMap((one: unknown, i) => (isObject(one) ? [{ path: `plugins[${i}]`, json: one }] : []));
}

/** What keeps runtimes from loading the file as what its name says. libcni, ConfListFromBytes() and ConfFromBytes(). */
function listProblems(file: string, json: object, plugins: unknown): Problem[] {
  const found: Problem[] = [];
  const isList = plugins !== undefined;
  if (file.endsWith('.conflist') && !isList) {
    found.push({ path: '', message: 'no plugins; expected a list of them in a file that is called .conflist' });
  }
  if (/\.(conf|json)$/.test(file) && isList) {
    found.push({
      path: 'plugins',
      message: 'a list in a file that is not called .conflist: runtimes take it for a single plugin',
    });
  }
  if (isList && !Array.isArray(plugins))
    found.push({ path: 'plugins', message: wrongKind('a list of plugins', plugins) });
  if (Array.isArray(plugins)) {
    if (plugins.length === 0) found.push({ path: 'plugins', message: 'an empty list; expected at least one plugin' });
    for (const [i, one] of plugins.entries()) {
      if (!isObject(one)) found.push({ path: `plugins[${i}]`, message: wrongKind('an object', one) });
      else if (!foldKeys(one, ['type']).type)
        found.push({ path: `plugins[${i}].type`, message: 'missing; expected the name of a plugin' });
    }
  } else if (!isList && !foldKeys(json, ['type']).type && file !== '') {
    found.push({ path: 'type', message: 'missing; expected the name of a plugin' });
  }
  for (const { path, json: one } of pluginsOf(json, plugins)) {
    const { capabilities } = foldKeys(one, ['capabilities']);
    const at = `${path === '' ? '' : `${path}.`}capabilities`;
    if (capabilities === undefined) continue;
    if (!isObject(capabilities)) found.push({ path: at, message: wrongKind('an object', capabilities) });
    else {
      for (const [name, value] of Object.entries(capabilities)) {
        if (typeof value !== 'boolean')
          found.push({ path: `${at}.${name}`, message: wrongKind('true or false', value) });
      }
    }
  }
  return found;
}

const wrongKind = (wanted: string, value: unknown) => `expected ${wanted}, found ${found(value)}`;
