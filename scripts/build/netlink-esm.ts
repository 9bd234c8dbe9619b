import { readFile } from 'node:fs/promises';
import { sep } from 'node:path';
import type { Plugin } from 'esbuild';

/**
 * The npm package netlink as tree-shakable ES modules.
 *
 * It ships CommonJS made by tsc: every file builds all its tables and enums when it is first required, which costs
 * about 1.5 ms of each start, and a bundler must keep all of it. Its shape is regular, so it can be turned back into
 * `import` and `export` line by line; whatever does not fit the shape ends the build.
 */

/** The only files of the package that a bundle may hold: message types and encoders, no socket, no native addon. */
export const netlinkModules = ['structs', 'rt/structs', 'rt/gen_structs', 'rt/ifla'] as const;

const identifier = '[A-Za-z_$][\\w$]*';

/** Turns one file of netlink/dist into an ES module with the same exports. Throws on a shape it does not know. */
export function toEsModule(commonJs: string, name: string): string {
  let code = commonJs;
  const replace = (pattern: RegExp, by: string) => {
    code = code.replace(pattern, by);
  };
  // tsc's helpers (__createBinding, __importStar, …) all stand before this line.
  const marker = 'Object.defineProperty(exports, "__esModule", { value: true });\n';
  const start = code.indexOf(marker);
  if (start < 0) throw new Error(`netlink/dist/${name}.js: not CommonJS as tsc writes it`);
  code = code.slice(start + marker.length);
  // exports.a = exports.b = void 0;
  replace(new RegExp(`^(?:exports\\.${identifier} = )+void 0;\n`, 'gm'), '');
  // Both processors that we build for are little-endian.
  replace(/^const os_1 = require\("os"\);\n/m, '');
  replace(/^const isLE = \(0, os_1\.endianness\)\(\) === 'LE';$/m, 'const isLE = true;');
  replace(
    new RegExp(`^const (${identifier}) = (?:__importStar\\()?require\\("(\\.[^"]*)"\\)\\)?;$`, 'gm'),
    'import * as $1 from "$2.js";',
  );
  replace(/^__exportStar\(require\("(\.[^"]*)"\), exports\);$/gm, 'export * from "$1.js";');
  // var E;
  // (function (E) { … })(E = exports.E || (exports.E = {}));
  replace(
    new RegExp(
      `^var (${identifier});\n\\(function \\(\\1\\) \\{\n([\\s\\S]*?)^\\}\\)\\(\\1 = exports\\.\\1 \\|\\| \\(exports\\.\\1 = \\{\\}\\)\\);$`,
      'gm',
    ),
    'export enum $1 {\n$2}',
  );
  // E[E["NAME"] = 1] = "NAME";
  replace(new RegExp(`^    (${identifier})\\[\\1\\["(\\w+)"\\] = (-?\\d+)\\] = "\\2";$`, 'gm'), '    "$2" = $3,');
  // exports.f = f;  the declaration stands above
  const declared: string[] = [];
  code = code.replace(new RegExp(`^exports\\.(${identifier}) = \\1;\n`, 'gm'), (_, exported: string) => {
    declared.push(exported);
    return '';
  });
  replace(new RegExp(`^exports\\.(${identifier}) = (\\d+);$`, 'gm'), 'export const $1 = $2;');
  // exports.X = expression;
  replace(new RegExp(`^exports\\.(${identifier}) = (.+);$`, 'gm'), 'export const $1 = /* @__PURE__ */ (() => $2)();');
  replace(/^const __BP = Buffer\.prototype;$/m, 'const __BP = /* @__PURE__ */ (() => Buffer.prototype)();');
  // const table = { [computed]: … };
  replace(
    new RegExp(`^const (${identifier}) = \\{\n([\\s\\S]*?)^\\};$`, 'gm'),
    'const $1 = /* @__PURE__ */ (() => ({\n$2}))();',
  );
  replace(new RegExp(`\\(0, exports\\.(${identifier})\\)\\(`, 'g'), '$1(');
  replace(new RegExp(`\\bexports\\.(${identifier})`, 'g'), '$1');
  if (declared.length > 0)
    code = code.replace(/(\/\/# sourceMappingURL=.*)?$/, `\nexport { ${declared.join(', ')} };\n`);

  const leftOver = /\bexports\b|\brequire\(|\bmodule\b\.|__importStar|__exportStar/.exec(withoutComments(code));
  if (leftOver) throw new Error(`netlink/dist/${name}.js: do not know how to turn "${leftOver[0]}" into an ES module`);
  return code;
}

function withoutComments(code: string): string {
  return code.replace(/\/\*.*?\*\//gs, '').replace(/^\s*\/\/.*$/gm, '');
}

/** The esbuild plugin. Any other file of the package in a bundle, above all its native addon, ends the build. */
export const netlinkEsm: Plugin = {
  name: 'netlink-esm',
  setup(build) {
    build.onLoad({ filter: netlinkFiles }, async ({ path }) => ({ contents: await netlinkSource(path), loader: 'ts' }));
  },
};

export const netlinkFiles = /[\\/]node_modules[\\/]netlink[\\/]/;

/** A file of the package as an ES module. */
export async function netlinkSource(path: string): Promise<string> {
  const name = netlinkModules.find((module) => path.endsWith(`netlink/dist/${module}.js`.replaceAll('/', sep)));
  if (!name) throw new Error(`${path}: only ${netlinkModules.join(', ')} of netlink may be bundled`);
  return toEsModule(await readFile(path, 'utf8'), name);
}
