import { CniError, code } from '../../cni/error.ts';
import { stat } from '../../linux/files.ts';

/**
 * The path of the plugin of that type: the first directory of CNI_PATH (directories between colons) that has a regular file, or a link to
 * one, of that name. SPEC "Parameters", CNI_PATH.
 * @throws CniError 7 when the type cannot be a file name, 4 when there is no CNI_PATH or the plugin is not in it.
 */
export function findPlugin(type: string, cniPath: string): string {
  // A type with a slash would leave the directories of CNI_PATH.
  if (type === '' || type === '.' || type === '..' || type.includes('/')) {
    throw new CniError(code.invalidNetworkConfig, `ipam.type: ${JSON.stringify(type)} is not the name of a plugin`);
  }
  // An empty element would mean the working directory, whatever that is.
  const directories = cniPath.split(':').filter((directory) => directory !== '');
  for (const directory of directories) {
    const path = `${directory}/${type}`;
    try {
      if (stat(path).isFile) return path;
    } catch {
      // Not here; a directory that cannot be looked into does not have it.
    }
  }
  throw new CniError(
    code.invalidEnvironment,
    directories.length === 0
      ? `CNI_PATH is empty: there is nowhere to find the IPAM plugin ${type}`
      : `failed to find plugin ${JSON.stringify(type)} in path [${directories.join(' ')}]`,
    {
      details: `ipam.type names an IPAM plugin, which must be a file in a directory of CNI_PATH. Only host-local needs none.`,
    },
  );
}
