import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { ReadModels } from '../projections/database.ts'
import { pagesPerAddressMax, shareCatchingUp, shareReadModels, statementsPerAddressMax } from './shares.ts'

const rounds = async (count: number) => {
  for (let round = 0; round < count; round += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** Creates work that goes on until it is ended: `begun` and `open` have its addresses, in their order. */
const createWork = () => {
  const begun: string[] = []
  const open: { readonly address: string; readonly end: () => void }[] = []
  const work = (address: string) => () =>
    new Promise<string>((resolve) => {
      begun.push(address)
      const one = { address, end: () => resolve(address) }
      open.push(one)
    })
  const openOf = (address: string) => open.filter((one) => one.address === address).length
  const end = (index: number) => open.splice(index % open.length, 1)[0]?.end()
  return { begun, open, work, openOf, end }
}

/** What each share does with a piece of work of an address. */
const shares = {
  'statements to the read models': {
    max: statementsPerAddressMax,
    create: () => {
      const read = { run: (_: string, query: () => Promise<unknown>) => query() } as unknown as ReadModels
      const readOf = shareReadModels(read)
      return (address: string, work: () => Promise<string>) => readOf(address).run('spec', work)
    },
  },
  'pages of subscriptions that catch up': {
    max: pagesPerAddressMax,
    create: () => {
      const catchUpOf = shareCatchingUp()
      return (address: string, work: () => Promise<string>) => catchUpOf(address)(work)
    },
  },
}

describe.each(Object.entries(shares))('%s', (_name, { max, create }) => {
  test('of an address are a few at once, whatever others do, and all have their turn', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(fc.nat(100)),
        async (addresses, ends) => {
          const { begun, open, work, openOf, end } = createWork()
          const run = create()
          const done = addresses.map((address) => run(address, work(address)))
          while (begun.length < addresses.length || open.length > 0) {
            await rounds(2 + addresses.length)
            for (const address of new Set(addresses)) {
              const left = addresses.filter((each) => each === address).length
              const ended = begun.filter((each) => each === address).length - openOf(address)
              expect(openOf(address)).toBe(Math.min(max, left - ended))
            }
            end(ends.next().value ?? 0)
          }
          expect(await Promise.all(done)).toEqual(addresses)
        },
      ),
      { numRuns: 30 },
    ))

  test('that fail give their place to the next', async () => {
    const run = create()
    const failing = Array.from({ length: 3 * max }, () => run('a', () => Promise.reject(new Error('no'))))
    for (const each of failing) await expect(each).rejects.toThrow('no')
    expect(await run('a', async () => 'answer')).toBe('answer')
  })
})

test('pages of addresses come in a circle, one each time that the loop goes round', async () => {
  const { begun, work } = createWork()
  const catchUpOf = shareCatchingUp()
  for (const address of ['a', 'a', 'b', 'c']) void catchUpOf(address)(work(address))
  const seen: number[] = []
  for (let round = 0; round < 6; round += 1) {
    await rounds(1)
    seen.push(begun.length)
  }
  expect(begun).toEqual(['a', 'b', 'c', 'a'])
  expect(seen.every((count, at) => count - (seen[at - 1] ?? 0) <= 1)).toBe(true)
})

test('a statement that waits for a read model which is built keeps no place from others', async () => {
  const built = Promise.withResolvers<void>()
  let isBuilt = false
  const run = async (_: string, query: () => Promise<unknown>): Promise<unknown> => {
    try {
      return await query()
    } catch {
      await built.promise
      return run(_, query)
    }
  }
  const reader = shareReadModels({ run } as unknown as ReadModels)('a')
  const building = Array.from({ length: 20 }, () =>
    reader.run('building', async () => {
      if (!isBuilt) throw new Error('it is not served yet')
      return 'built'
    }),
  )
  expect(await reader.run('served', async () => 'served')).toBe('served')
  isBuilt = true
  built.resolve()
  expect(new Set(await Promise.all(building))).toEqual(new Set(['built']))
})
