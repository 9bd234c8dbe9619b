import { fstat, readText } from './files.ts';

/** Who holds a flock on the file, as far as /proc/locks tells. proc(5): `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`. */
export function flockHolder(fd: number): { pid: number; command: string } | undefined {
  try {
    // By inode alone: on btrfs and overlayfs the device that stat(2) tells is another than the one shown here.
    const inode = String(fstat(fd).ino);
    for (const line of readText('/proc/locks').split('\n')) {
      // A line with "->" is a process that waits.
      const [, kind, , , pid = '', where = ''] = line.split(/\s+/);
      if (kind === 'FLOCK' && where.split(':')[2] === inode && Number(pid) > 0) {
        return { pid: Number(pid), command: commandOf(pid) };
      }
    }
  } catch {
    // Only the error's text is poorer for it.
  }
  return undefined;
}

function commandOf(pid: string): string {
  try {
    return (
      readText(`/proc/${pid}/cmdline`).replace(/\0+$/, '').replaceAll('\0', ' ').slice(0, 200) || 'no command line'
    );
  } catch {
    return 'gone since';
  }
}
