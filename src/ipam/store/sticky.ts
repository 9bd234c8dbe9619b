import { errno } from '../../linux/errno.ts';
import { lstatIfThere, mkdir, readlinkIfThere, SystemError, symlink, unlink } from '../../linux/files.ts';
import { errnoOf } from './io-failure.ts';
import type { Place } from './location.ts';

/**
 * Which addresses a pod had last (`ipam.sticky`), so that it gets them again while nobody else has them: what a StatefulSet's
 * pod, or a restarted one of a fixed name, hopes for. A hint only: nothing is reserved.
 *
 * `.tsbridge/sticky/<slot>` is a symbolic link that leads nowhere, `<hash of the pod>,<address>,…`. There are 4096 slots, and a pod whose
 * hash has a slot's number overwrites what is there: so the memory is bounded without anybody counting or tidying up, at the price
 * that one pod in a few thousand makes an older one be forgotten.
 */
export class Sticky {
  private readonly place: Place;
  private readonly dir: string;
  private readonly path: string;
  private readonly hash: string;
  private before = '';

  /** `key` is the pod, the same for each of its incarnations: `<namespace>/<name>`. */
  constructor(place: Place, key: string, ifname: string) {
    this.place = place;
    this.hash = place.hash(key, ifname);
    this.dir = `${place.own}/sticky`;
    this.path = `${this.dir}/${this.hash.slice(0, 3)}`;
  }

  /** The addresses that the pod had last. */
  read(): string[] {
    try {
      this.before = readlinkIfThere(this.path) ?? '';
    } catch {
      return [];
    }
    const [hash, ...ips] = this.before.split(',');
    return hash === this.hash ? ips : [];
  }

  /** Remembers the addresses for the next time. To be called after `read`. A failure costs only the hint. */
  write(ips: string[]): void {
    const target = [this.hash, ...ips].join(',');
    if (target === this.before) return;
    try {
      // What a symbolic link leads to is not ours to write into.
      const { isDirectory } = lstatIfThere(this.dir) ?? { isDirectory: true };
      if (!isDirectory) throw new SystemError(errno.ENOTDIR, 'mkdir', this.dir);
      if (this.before !== '') unlink(this.path);
      this.symlink(target);
    } catch (error) {
      this.place.log.warn('cannot remember the addresses of the pod', { path: this.path, errno: errnoOf(error) });
    }
  }

  private symlink(target: string): void {
    try {
      symlink(target, this.path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      mkdir(this.dir, 0o700);
      symlink(target, this.path);
    }
  }
}
