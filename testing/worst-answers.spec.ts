// Whatever a node of the chain answers, reading it takes linear time, and not much more of it than an honest answer of
// the same length: CPU time of a child process, for the worst answers at n and at 8 n characters.
import { expect, test } from '@jest/globals'
import { growthsMsMax, growthsOf } from './worst-texts.testing.ts'
import { isLinear } from './worst-texts.ts'

const charactersSmall = 128_000
/** How much more than an honest answer one may take. */
const factorMax = 10

test(
  'every answer of a node is read in linear time, with a small factor',
  async () => {
    const grown = await growthsOf('worst-answers.ts', charactersSmall)
    expect(grown.length).toBeGreaterThan(150)
    const [honest] = grown
    const most = factorMax * (honest?.largeMs ?? 0)
    expect(grown.filter((growth) => !isLinear(growth) || growth.largeMs > most)).toEqual([])
  },
  growthsMsMax,
)
