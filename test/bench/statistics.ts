/** The middle of the samples; of an even number the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The sample below which the share `q` of all lies, interpolated between neighbours. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) throw new Error('no samples');
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number];
  return below + (above - below) * (at - Math.floor(at));
}

/**
 * How `ours` compares with `theirs`, pair by pair: the n-th samples of both were taken side by side, so whatever else the machine was
 * doing met both. The median of the pairs' ratios, with the quartiles.
 */
export function pairedRatio(
  ours: readonly number[],
  theirs: readonly number[],
): { ratio: number; low: number; high: number } {
  if (ours.length !== theirs.length) throw new Error(`${ours.length} samples against ${theirs.length}`);
  const ratios = ours.map((value, index) => value / (theirs[index] as number));
  return { ratio: median(ratios), low: quantile(ratios, 0.25), high: quantile(ratios, 0.75) };
}
