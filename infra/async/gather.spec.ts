import { expect, test } from '@jest/globals'
import { gather } from './gather.ts'

test('what comes in one turn, and while a run is under way, is one run each, in order', async () => {
  const runs: number[][] = []
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const give = gather<number>(async (items) => {
    runs.push([...items])
    await gates[runs.length - 1]?.promise
  })
  const first = [give(1), give(2)]
  while (runs.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const second = [give(3), give(4)]
  await new Promise((resolve) => setImmediate(resolve))
  expect(runs).toEqual([[1, 2]])
  for (const { resolve } of gates) resolve()
  await Promise.all([...first, ...second])
  expect(runs).toEqual([
    [1, 2],
    [3, 4],
  ])
})

test('an error is that of its run alone', async () => {
  const give = gather<string>(async (items) => {
    if (items.includes('bad')) throw new Error('no')
  })
  const results = await Promise.allSettled([give('good'), give('bad')])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await give('good')
})
