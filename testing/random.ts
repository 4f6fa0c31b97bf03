/** Returns numbers from 0 to 1 that follow from the seed (mulberry32). */
export type Random = () => number

export const createRandom = (seed: number): Random => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Returns a whole number from 0, below `end`. */
export const below = (random: Random, end: number): number => Math.floor(random() * end)

/** Returns one of them. Throws when there is none. */
export const pick = <T>(random: Random, from: readonly T[]): T => {
  if (from.length === 0) throw new Error('There is nothing to choose from.')
  return from[below(random, from.length)] as T
}
