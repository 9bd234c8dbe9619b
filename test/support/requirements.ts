import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * For tap's `skip` option: false where live tests can run, otherwise the reason they cannot.
 * `make test` refuses to start without them, so that a skip is never mistaken for a pass.
 *
 *     t.test('ADD gives the pod an address', { skip: missing('nft') }, async (t) => { … });
 */
export function missing(...programs: string[]): string | false {
  if (process.getuid?.() !== 0) return 'NOT RUN: live tests need root, to make network namespaces';
  return notInstalled('ip', 'nsenter', 'unshare', ...programs);
}

/** The same for a test that needs programs, and root for none of them. */
export function notInstalled(...programs: string[]): string | false {
  const absent = programs.filter((program) => !onPath(program));
  return absent.length > 0 && `NOT RUN: ${absent.join(', ')} not installed (make setup-test)`;
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
