// Whatever text comes from outside, reading it takes linear time: CPU time of a child process, for the worst characters
// at n and at 8 n.
import { expect, test } from '@jest/globals'
import { growthsMsMax, growthsOf } from './worst-texts.testing.ts'
import { growthOf, isLinear } from './worst-texts.ts'

const charactersSmall = 4_000

test(
  'files, settings, cursors, times, sign-in and output are read in linear time',
  async () => {
    const grown = await growthsOf('worst-texts.ts', charactersSmall)
    expect(grown.length).toBeGreaterThan(50)
    expect(grown.filter((growth) => !isLinear(growth))).toEqual([])
  },
  growthsMsMax,
)

test('a pattern that begins again at each character is noticed', async () => {
  const reader = { name: 'zeros', read: (text: string) => text.replace(/0+$/, '') }
  const textsOf = (characters: number) => [`${'0'.repeat(characters)}!`]
  const growth = await growthOf(reader, charactersSmall, textsOf)
  expect(isLinear(growth)).toBe(false)
})
