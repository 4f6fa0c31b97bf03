/** The figures of one contestant, in the order of the rounds. */
export type Samples = readonly number[]

/** Returns the value below which a share `p` (0 to 1) of the samples lies, linear between neighbours. NaN without
 *  samples. */
export const quantile = (samples: Samples, p: number): number => {
  const sorted = samples.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * p
  const below = sorted[Math.floor(place)] ?? Number.NaN
  const above = sorted[Math.ceil(place)] ?? Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}

export const median = (samples: Samples): number => quantile(samples, 0.5)

/** Returns the places of `count` contestants in a round. Each comes first, second and so on equally often, so that what
 *  the previous one leaves behind (a warm cache, a busy disk) affects all alike. */
export const orderOfRound = (round: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, place) => (place + round) % count)

/** Counts what is done in a stretch of time that begins after a warm-up. The stretch is as long as was asked, or longer
 *  until something was done at all. Moments are those of performance.now(). */
export const createRate = ({ warmUpMs, measureMs }: { readonly warmUpMs: number; readonly measureMs: number }) => {
  const begun = performance.now() + warmUpMs
  const end = begun + measureMs
  let count = 0
  let last = begun
  return {
    isOver: () => performance.now() >= end && count > 0,
    done: (amount: number) => {
      const now = performance.now()
      if (now < begun || (now > end && count > 0)) return
      count += amount
      last = now
    },
    perSecond: () => (count * 1000) / Math.max(measureMs, last - begun),
  }
}
