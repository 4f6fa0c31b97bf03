export type LagWatch = {
  /** Notes that the head of the log was at this position at this second. */
  headWas(position: string, second: number): void
  /** Returns how many seconds ago the log went beyond this position; 0 when it has not. */
  behind(position: string, second: number): number
}

const samplesMax = 3_600

/** Measures a lag in seconds, since positions cannot be subtracted. */
export const createLagWatch = (): LagWatch => {
  const samples: { readonly position: string; readonly second: number }[] = []
  return {
    headWas: (position, second) => {
      if (samples.at(-1)?.position !== position) samples.push({ position, second })
      if (samples.length > samplesMax) samples.shift()
    },
    behind: (position, second) => {
      const beyond = samples.find((sample) => sample.position > position)
      return beyond === undefined ? 0 : second - beyond.second
    },
  }
}
