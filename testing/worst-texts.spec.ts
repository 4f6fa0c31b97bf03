// Whatever text comes from outside, reading it takes linear time: CPU time of a child process, for the worst characters
// at n and at 8 n.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { type Growth, growthMax, growthOf } from './worst-texts.ts'

const charactersSmall = 4_000
const program = join(import.meta.dirname, 'programs/worst-texts.ts')
const childMsMax = 50_000

test('files, settings, cursors, times, sign-in and output are read in linear time', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(charactersSmall)], {
    timeout: childMsMax,
  })
  const grown = stdout
    .split('\n')
    .filter(Boolean)
    .map((line): Growth => JSON.parse(line))
  expect(grown.length).toBeGreaterThan(50)
  expect(grown.filter(({ smallMs, largeMs }) => largeMs / smallMs >= growthMax)).toEqual([])
})

test('a pattern that begins again at each character is noticed', async () => {
  const reader = { name: 'zeros', read: (text: string) => text.replace(/0+$/, '') }
  const { smallMs, largeMs } = await growthOf(reader, charactersSmall)
  expect(largeMs / smallMs).toBeGreaterThan(growthMax)
})
