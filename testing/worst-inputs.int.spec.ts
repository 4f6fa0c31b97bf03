// Whatever text a client sends, at any place of any operation, answering takes linear time: CPU time of a child process
// with a gateway, for the worst characters at n and at 8 n.
import { expect, test } from '@jest/globals'
import { growthsMsMax, growthsOf } from './worst-texts.testing.ts'
import { isLinear } from './worst-texts.ts'

const charactersSmall = 8_000

test(
  'every text input of the schema is read in linear time',
  async () => {
    const grown = await growthsOf('worst-inputs.ts', charactersSmall)
    expect(grown.length).toBeGreaterThan(80)
    expect(grown.filter((growth) => !isLinear(growth))).toEqual([])
  },
  growthsMsMax,
)
