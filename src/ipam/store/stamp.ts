import { nanoseconds } from '../../linux/clock.ts';
import { lstatIfThere, stat, utimes } from '../../linux/files.ts';
import type { Stat } from '../../linux/stat.ts';
import { errnoOf } from './io-failure.ts';
import type { Place } from './location.ts';

/*
 * How an operation knows, without reading 60,000 files, that the index (lease-index.ts) knows every lease.
 *
 * The reference plugin knows nothing of the index: it makes and removes leases in <dir>, and the kernel then sets that directory's
 * modification time to now. So each operation of ours ends, still under the lock, by setting two modification times to values that no clock
 * shows: that of <dir> to a second between 1985 and 1993 that follows from the boot id and the version of the index, and that of
 * <dir>/.tsbridge to one that follows from <dir>'s inode, its modification time, and the time of its last change (ctime), which was this very
 * setting. An operation that finds both so knows that nobody has made, removed or renamed anything in the two directories since, and that
 * the last operation of ours came to its end. Anything else means one slow walk over all leases, which sets the index right.
 *
 * - Killed between any two steps: the first step changes one of the directories, so its time is now, and not a value of ours. Stamping is
 *   two steps, <dir> first: killed between them, .tsbridge still has a time that follows from another change of <dir>, or its own.
 * - Copied or restored, as a whole or in part, with times or without (cp -a, tar, a snapshot): modification times can be set by anybody, the
 *   time of the last change only by the kernel, whatever the clock says at that moment. A restored <dir> was changed when it was restored,
 *   so there is one walk. The same goes for a chmod of it, which costs one walk, too.
 * - Clocks that jump: no clock is compared with another. For the values to come about by themselves the clock would have to stand at one
 *   certain second, decades ago, when something changes.
 * - File systems that keep whole seconds only: the fraction of .tsbridge's time is lost, its second says enough.
 * - After a boot, and after an upgrade that changes the index: the second is another, so there is one walk. A power cut can leave behind
 *   empty leases and an older index; this walk finds them.
 */

const INDEX_VERSION = 2;

// 1985-01-01T00:00:00Z. 28 bits of seconds are 8.5 years.
const ERA = 473385600;

/** The second that marks a complete index in this boot. */
const stampSecond = (place: Place): number =>
  ERA + (((Number.parseInt(place.life.boot, 16) ^ (INDEX_VERSION * 0x9e3779b1)) >>> 0) & 0xfffffff);

/** A time as whole seconds and microseconds. */
function split(timeMs: number): { second: number; micros: number } {
  const second = Math.floor(timeMs / 1000);
  return { second, micros: Math.round((timeMs - second * 1000) * 1000) };
}

/** The time of <dir>/.tsbridge that goes with a stamped <dir>. */
function counterpart(place: Place, { ino, ctime, mtimeMs }: Stat): { second: number; micros: number } {
  const { second, micros } = split(mtimeMs);
  const digits = place.hash(`${ino} ${ctime} ${second}.${micros}`, 'stamp');
  return {
    second: ERA + Number.parseInt(digits.slice(0, 7), 16),
    micros: Number.parseInt(digits.slice(7, 12), 16) % 1_000_000,
  };
}

/**
 * What the directories' times say: `complete`, `incomplete`, or that there is no index (`absent`) or no store yet. `foreign`: something else
 * is where the index would be, a file or a symbolic link that leads who knows where.
 */
export type StampState = 'complete' | 'incomplete' | 'absent' | 'foreign';

/** Reads the stamp. */
export function readStamp(place: Place): StampState {
  const own = lstatIfThere(place.own);
  if (!own) return 'absent';
  if (!own.isDirectory) return 'foreign';
  const dir = stat(place.dir);
  if (split(dir.mtimeMs).second !== stampSecond(place)) return 'incomplete';
  const [found, wanted] = [split(own.mtimeMs), counterpart(place, dir)];
  const isSame = found.second === wanted.second && (found.micros === wanted.micros || found.micros === 0);
  return isSame ? 'complete' : 'incomplete';
}

/** Marks the index as complete: the last step of an operation that changed something. Without success the next one walks. */
export function writeStamp(place: Place): void {
  // A double holds the microseconds of such a time. Any source of ever different ones will do.
  const time = stampSecond(place) + Math.floor(nanoseconds() / 1000) / 1_000_000;
  try {
    utimes(place.dir, time, time);
    const { second, micros } = counterpart(place, stat(place.dir));
    const ownTime = second + micros / 1_000_000;
    utimes(place.own, ownTime, ownTime);
  } catch (error) {
    place.log.debug('cannot stamp the address store: the next operation reads all leases', { errno: errnoOf(error) });
  }
}
