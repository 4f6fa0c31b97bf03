export type LagWatch = {
  /** The log's head was here at this second. */
  headWas(position: string, second: number): void
  /** How long ago the log went beyond this position; 0 when it is there still. */
  behind(position: string, second: number): number
}

const samplesMax = 3_600

/** Positions cannot be subtracted, so a lag is told in time. */
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
