import { close, open, readlinkIfThere, symlink, unlink } from '../../linux/files.ts';
import { O } from '../../linux/numbers.ts';
import { cannotLink, errnoOf } from './io-failure.ts';
import type { Place } from './location.ts';

/**
 * Whether every address that the store has handed out in this boot had a MAC address that follows from it, so that what neighbours know of an
 * earlier holder is right for the next. The first attachment for which it is not so (a MAC address asked for, a bridge that leads to others,
 * addresses of two families that do not belong together) leaves a mark: `.tsbridge/unsteady`, a symbolic link that leads nowhere, to the
 * boot. Used under the store's lock.
 */
export class Steadiness {
  private readonly place: Place;
  private readonly path: string;
  private mark: string | undefined;

  constructor(place: Place) {
    this.place = place;
    this.path = `${place.own}/unsteady`;
    try {
      this.mark = readlinkIfThere(this.path);
    } catch {
      this.mark = place.life.boot; // something else of that name
    }
  }

  get isSteady(): boolean {
    return this.mark !== this.place.life.boot;
  }

  /** From here on nothing follows. Throws what symlink(2) answers: without the mark, a neighbour could be left with a wrong entry. */
  end(): void {
    if (!this.isSteady) return;
    try {
      if (this.mark !== undefined) unlink(this.path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    try {
      symlink(this.place.life.boot, this.path);
    } catch (error) {
      if (!cannotLink(error)) throw error;
      // A file system without symbolic links: a file is a mark that stays.
      close(open(this.path, O.WRONLY | O.CREAT | O.NOFOLLOW, 0o600));
    }
    this.mark = this.place.life.boot;
  }
}
