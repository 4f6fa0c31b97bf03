import { expect, test } from '@jest/globals'
import { sleep } from '../../async/sleep.ts'
import { createDeadlines, type Turn } from './deadlines.ts'

const never = () => new Promise<never>(() => undefined)
const late = () => new Error('late')

test('work ends with its result or its error, and its turn is over then', async () => {
  const { within } = createDeadlines(10_000, late)
  const turns: Turn[] = []
  const done = within(performance.now(), async (turn) => {
    turns.push(turn)
    return 7
  })
  expect(await done).toBe(7)
  await expect(
    within(performance.now(), async (turn) => {
      turns.push(turn)
      throw new Error('its own')
    }),
  ).rejects.toThrow('its own')
  await sleep(0)
  expect(turns.map((turn) => turn.isOver() && turn.signal().aborted)).toEqual([true, true])
})

test('work that takes too long is given up, and is told so', async () => {
  const { within } = createDeadlines(50, late)
  let turn: Turn | undefined
  let isTold = false
  const began = performance.now()
  await expect(
    within(began, (given) => {
      turn = given
      given.signal().addEventListener('abort', () => {
        isTold = true
      })
      return never()
    }),
  ).rejects.toThrow('late')
  expect(performance.now() - began).toBeGreaterThan(49)
  expect([isTold, turn?.isOver()]).toEqual([true, true])
})

test('work whose time has passed before its turn is not begun', async () => {
  const { within } = createDeadlines(50, late)
  let begun = false
  const work = async () => {
    begun = true
  }
  await expect(within(performance.now() - 60, work)).rejects.toThrow('late')
  expect(begun).toBe(false)
})

test('closing ends all that is under way', async () => {
  const { within, close } = createDeadlines(10_000, late)
  const both = Promise.allSettled([within(performance.now(), never), within(performance.now(), never)])
  close()
  expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})

test('work that comes on has its time anew', async () => {
  const { within } = createDeadlines(100, late)
  const done = within(performance.now(), async (turn) => {
    for (let step = 0; step < 5; step += 1) {
      await sleep(60)
      turn.goOn()
    }
    return 'done'
  })
  expect(await done).toBe('done')
})

test('what has arrived while the process stood still is taken before the deadline counts', async () => {
  const { within } = createDeadlines(50, late)
  let answer: (text: string) => void = () => undefined
  const done = within(performance.now(), () => new Promise<string>((resolve) => (answer = resolve)))
  const until = performance.now() + 150
  while (performance.now() < until);
  setImmediate(() => answer('taken'))
  expect(await done).toBe('taken')
})
