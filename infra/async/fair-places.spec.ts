import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createFairPlaces } from './fair-places.ts'

const options = { atOnceMax: 3, perKeyMax: 2, waitingMax: 12, waitingPerKeyMax: 4, waitMsMax: 60_000 }
const settled = () => new Promise((resolve) => setImmediate(resolve))

/** Makes places whose work runs until it is ended. */
const createWorld = (more: Partial<typeof options> = {}) => {
  const inPlace = createFairPlaces({ ...options, ...more })
  const running: { readonly key: string; end(): void }[] = []
  const begun: string[] = []
  const refused: string[] = []
  const ask = async (key: string) => {
    const ran = await inPlace(key, async () => {
      begun.push(key)
      await new Promise<void>((resolve) => running.push({ key, end: resolve }))
      return true
    })
    if (ran === undefined) refused.push(key)
  }
  const end = async (index: number) => {
    running.splice(index % Math.max(running.length, 1), 1)[0]?.end()
    await settled()
  }
  const runningOf = (key: string) => running.filter((one) => one.key === key).length
  return { ask, end, running, runningOf, begun, refused }
}

test('no key has more than its share, no place stays empty that somebody may have, and all is done or refused', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(5)), { maxLength: 80 }),
      async (steps) => {
        const world = createWorld()
        const asked: string[] = []
        for (const step of steps) {
          if (typeof step === 'number') await world.end(step)
          else {
            asked.push(step)
            void world.ask(step)
            await settled()
          }
          expect(world.running.length).toBeLessThanOrEqual(options.atOnceMax)
          for (const key of 'abcd') {
            expect(world.runningOf(key)).toBeLessThanOrEqual(options.perKeyMax)
            const count = (keys: readonly string[]) => keys.filter((one) => one === key).length
            const waiting = count(asked) - count(world.begun) - count(world.refused)
            expect(waiting).toBeLessThanOrEqual(options.waitingPerKeyMax)
            if (waiting > 0 && world.running.length < options.atOnceMax)
              expect(world.runningOf(key)).toBe(options.perKeyMax)
          }
        }
        while (world.running.length > 0) await world.end(0)
        expect([...world.begun, ...world.refused].sort()).toEqual(asked.sort())
      },
    ),
  ))

test('keys take turns in a circle, however much one of them asks for', async () => {
  const world = createWorld({ atOnceMax: 1, perKeyMax: 1 })
  for (const key of ['a', 'a', 'a', 'a', 'b', 'b', 'c']) void world.ask(key)
  await settled()
  while (world.running.length > 0) await world.end(0)
  expect(world.begun.join('')).toBe('abcabaa')
})

test('work that fails gives its place back, and what waits too long is not run', async () => {
  const inPlace = createFairPlaces({ ...options, atOnceMax: 1, perKeyMax: 1, waitMsMax: 1 })
  await expect(inPlace('a', () => Promise.reject(new Error('it failed')))).rejects.toThrow('it failed')
  let end: () => void = () => undefined
  const first = inPlace('a', () => new Promise<string>((resolve) => (end = () => resolve('done'))))
  expect(await inPlace('b', async () => 'never')).toBe(undefined)
  end()
  expect([await first, await inPlace('b', async () => 'done')]).toEqual(['done', 'done'])
})
