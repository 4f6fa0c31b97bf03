import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createFairTurns } from './fair-turns.ts'

/** Asks for a turn under each key in this order. Resolves to the keys in the order of the turns. */
const orderOf = async (keys: readonly string[]): Promise<readonly string[]> => {
  const turn = createFairTurns()
  const order: string[] = []
  await Promise.all(keys.map((key, index) => turn(key).then(() => order.push(`${key}${index}`))))
  return order
}

test('keys take turns in a circle, and one key in its order', async () =>
  expect(await orderOf(['a', 'a', 'a', 'b', 'a', 'b', 'c'])).toEqual(['a0', 'b3', 'c6', 'a1', 'b5', 'a2', 'a4']))

test('nobody waits for more than one turn of each other key, for each of its own', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 }), async (keys) => {
      const order = await orderOf(keys)
      expect([...order].sort()).toEqual(keys.map((key, index) => `${key}${index}`).sort())
      const others = new Set(keys).size
      for (const key of new Set(keys)) {
        const at = order.flatMap((one, index) => (one.startsWith(key) ? [index] : []))
        for (const [own, index] of at.entries()) expect(index).toBeLessThan((own + 1) * others)
      }
    }),
    { numRuns: 50 },
  ))

test('so many turns are given at once as were asked for', async () => {
  const turn = createFairTurns({ perRound: 3 })
  const rounds: number[] = []
  let round = 0
  const counting = setImmediate(function count() {
    round += 1
    if (round < 10) setImmediate(count)
  })
  await Promise.all(Array.from({ length: 7 }, () => turn('a').then(() => rounds.push(round))))
  clearImmediate(counting)
  expect(new Set(rounds).size).toBe(3)
  expect(rounds.map((at) => at - (rounds[0] ?? 0))).toEqual([0, 0, 0, 1, 1, 1, 2])
})

test.each([
  [10, false, 1],
  [10, true, 34],
  [100, true, 51],
])('a piece of %i ms is followed by rounds without one beside a crowd: %s', async (pieceMs, crowded, rounds) => {
  let nowMs = 0
  const turn = createFairTurns({ isCrowded: () => crowded, now: () => nowMs })
  const found: number[] = []
  const work = Array.from({ length: 5 }, () =>
    turn('a').then(() => {
      found.push(round)
      nowMs += pieceMs
    }),
  )
  let round = 0
  let isOver = false
  // Each round takes a millisecond, besides the pieces.
  setImmediate(function count() {
    round += 1
    nowMs += 1
    if (!isOver) setImmediate(count)
  })
  await Promise.all(work)
  isOver = true
  const apart = found.slice(1).map((at, index) => at - (found[index] ?? 0))
  expect(apart.every((count) => Math.abs(count - rounds) <= 2)).toBe(true)
})

test('between two turns the sockets are read', async () => {
  const turn = createFairTurns()
  const work = () => {
    for (const until = performance.now() + 20; performance.now() < until; );
  }
  const server = createServer((socket) => socket.end('answer')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let done = 0
  const pieces = Array.from({ length: 20 }, async () => {
    await turn('a')
    work()
    done += 1
  })
  await once(connect((server.address() as AddressInfo).port, '127.0.0.1'), 'data')
  expect(done).toBeLessThan(10)
  server.close()
  await Promise.all(pieces)
})
