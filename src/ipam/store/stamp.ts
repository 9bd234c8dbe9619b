import { nanoseconds } from '../../linux/clock.ts';
import { lstatIfThere, stat, utimes } from '../../linux/files.ts';
import { S_IF } from '../../linux/numbers.ts';
import { errnoOf } from './io-failure.ts';
import type { Place } from './location.ts';

/*
 * How an operation knows, without reading 60,000 files, that the index (lease-index.ts) knows every lease.
 *
 * The reference plugin knows nothing of the index: it makes and removes leases in <dir>, and the kernel then sets that directory's
 * modification time to now. So each operation of ours ends, still under the lock, by setting the modification times of <dir> and of
 * <dir>/.tsbridge to one and the same value that no clock shows. An operation that finds both so knows that nobody has made, removed
 * or renamed anything in the two directories since, and that the last operation of ours came to its end. Anything else means one slow
 * walk over all leases, which sets the index right.
 *
 * The value is a second between 1985 and 1993, made from the boot id and the version of the index, and a random fraction of it:
 *
 * - Killed between any two steps: the first step changes one of the directories, so its time is now, and not in that second. Two
 *   directories changed in the same tick of the clock do have equal times, which is why equal times alone would not do. Stamping is two
 *   steps, <dir> first: killed between them, .tsbridge still has its own time.
 * - Clocks that jump: no clock is compared with another. The value cannot come about by itself unless the clock stands at that very
 *   second, decades ago, when something changes.
 * - File systems that keep whole seconds only: both times lose the same fraction.
 * - Copied or restored: with the times (cp -a, tar), both directories are what they were, so the index still fits; when only some files
 *   are brought back, either the times are not, or the fractions differ. Without the times: a walk.
 * - After a boot, and after an upgrade that changes the index: the second is another, so there is one walk. A power cut can leave behind
 *   empty leases and an older index; this walk finds them.
 */

const INDEX_VERSION = 1;

// 1985-01-01T00:00:00Z. 28 bits of seconds are 8.5 years.
const ERA = 473385600;

/** The second that marks a complete index in this boot. */
const stampSecond = (place: Place): number =>
  ERA + (((Number.parseInt(place.life.boot, 16) ^ (INDEX_VERSION * 0x9e3779b1)) >>> 0) & 0xfffffff);

/** What the directories' times say: `complete`, `incomplete`, or that there is no index (`absent`) or no store yet. */
export type StampState = 'complete' | 'incomplete' | 'absent';

/** Reads the stamp. */
export function readStamp(place: Place): StampState {
  const own = lstatIfThere(place.own);
  if (!own || (own.mode & S_IF.MT) !== S_IF.DIR) return 'absent';
  const { mtimeMs } = stat(place.dir);
  return mtimeMs === own.mtimeMs && Math.floor(mtimeMs / 1000) === stampSecond(place) ? 'complete' : 'incomplete';
}

/** Marks the index as complete: the last step of an operation that changed something. Without success the next one walks. */
export function writeStamp(place: Place): void {
  // A double holds the microseconds of such a time. Any source of ever different ones will do.
  const time = stampSecond(place) + Math.floor(nanoseconds() / 1000) / 1_000_000;
  try {
    utimes(place.dir, time, time);
    utimes(place.own, time, time);
  } catch (error) {
    place.log.debug('cannot stamp the address store: the next operation reads all leases', { errno: errnoOf(error) });
  }
}
