import { access, stat, X_OK } from './files.ts';

/** The path of a program: the first directory of `path` (directories between colons) that has an executable file of that name. */
export function findProgram(name: string, path: string): string | undefined {
  for (const directory of path.split(':')) {
    // An empty element, or a relative one, would mean the working directory, whatever that is.
    if (!directory.startsWith('/')) continue;
    const file = `${directory}/${name}`;
    try {
      if (!stat(file).isFile) continue;
      access(file, X_OK);
      return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}
