import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createCommandIndex } from './command-index.ts'

test('finds every command where it was answered', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 300 }), (commandIds) => {
      const index = createCommandIndex()
      for (const [at, commandId] of commandIds.entries()) index.add(commandId, BigInt(at * 2))
      for (const [at, commandId] of commandIds.entries()) expect(index.find(commandId)).toContain(BigInt(at * 2))
    }),
  )
})

test('a command that came twice is found at both places', () => {
  const index = createCommandIndex()
  for (const [at, commandId] of ['one', 'two', 'one'].entries()) index.add(commandId, BigInt(at))
  expect(index.find('one')).toEqual([0n, 2n])
})

test('a revision that was added before is not added again', () => {
  const index = createCommandIndex()
  for (const revision of [0n, 1n, 0n, 1n, 2n]) index.add('same', revision)
  expect(index.find('same')).toEqual([0n, 1n, 2n])
  expect(index.through).toBe(2n)
})

test('other commands are mostly not found, among 100,000 in at most 22 bytes each', () => {
  const index = createCommandIndex()
  const count = 100_000
  for (let n = 0; n < count; n++) index.add(`command-${n}`, BigInt(n))
  expect(index.bytes / count).toBeLessThanOrEqual(22)
  let found = 0
  let mistaken = 0
  for (let n = 0; n < count; n++) {
    found += index.find(`command-${n}`).includes(BigInt(n)) ? 1 : 0
    mistaken += index.find(`other-${n}`).length
  }
  expect(found).toBe(count)
  // One in 43,000 by the length of the hash.
  expect(mistaken).toBeLessThan(30)
})
