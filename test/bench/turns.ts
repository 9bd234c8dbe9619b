import type { Contender } from './contender.ts';

/**
 * Lets all contenders take a turn, `rounds` times. Who begins changes from round to round, so that nobody always comes after the same
 * one, whose network the kernel may still be taking down.
 */
export function turns(
  contenders: readonly Contender[],
  rounds: number,
  turn: (contender: Contender, round: number) => void,
): void {
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < contenders.length; n++) {
      turn(contenders[(round + n) % contenders.length] as Contender, round);
    }
  }
}
