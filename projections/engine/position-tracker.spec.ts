import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Failure } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { createPositionTracker } from './position-tracker.ts'
import { createWaiters } from './waiters.ts'

const at = (number: number) => `spec-${String(number).padStart(6, '0')}` as Position
const names = ['rentals', 'jobs', 'events']
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'reached',
    (error: unknown) => (error instanceof Failure ? error.code : error),
  )

const createTracker = ({
  head = at(0),
  elsewhere = false,
  place,
  checkpoints = new Map<string, string>(),
}: {
  head?: Position
  elsewhere?: boolean
  place?: { readonly elsewhere: boolean }
  checkpoints?: Map<string, string>
} = {}) => {
  const asked: (readonly string[])[] = []
  let heads = 0
  const tracker = createPositionTracker({
    names,
    isElsewhere: () => place?.elsewhere ?? elsewhere,
    readPositions: async (wanted) => {
      asked.push(wanted)
      return wanted.flatMap((projection) => {
        const position = checkpoints.get(projection)
        return position === undefined ? [] : [{ projection, position }]
      })
    },
    head: async () => {
      heads += 1
      return head
    },
  })
  return { tracker, asked, heads: () => heads }
}

describe('waiting for a position', () => {
  test('asks the named read models alone: one that is late makes no other query late', async () => {
    const { tracker } = createTracker()
    tracker.reached('rentals', at(5))
    await tracker.waitFor(at(5), 0, ['rentals'])
    expect(await codeOf(tracker.waitFor(at(5), 20, ['rentals', 'jobs']))).toBe('POSITION_NOT_REACHED')
    await expect(tracker.waitFor(at(5), 0)).rejects.toMatchObject({ details: { behind: 'jobs, events' } })
  })

  test('goes on for a read model that is put back while another one is waited for', async () => {
    const { tracker } = createTracker()
    const waiting = codeOf(tracker.waitFor(at(5), 2_000, ['rentals', 'jobs']))
    tracker.reached('rentals', at(5))
    tracker.reached('rentals', at(3))
    tracker.reached('jobs', at(5))
    await new Promise((resolve) => setImmediate(resolve))
    tracker.reached('rentals', at(6))
    expect(await waiting).toBe('reached')
  })

  test('reads the checkpoints of those alone that a caller waits for, and only while one waits', async () => {
    const checkpoints = new Map([['jobs', at(3)]])
    const { tracker, asked } = createTracker({ elsewhere: true, checkpoints })
    await tracker.waitFor(at(3), 1_000, ['jobs'])
    expect(new Set(asked.flat())).toEqual(new Set(['jobs']))
    const before = asked.length
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(asked.length).toBe(before)
  })

  test('begins to read checkpoints when a read model moves to another process while a caller waits for it', async () => {
    const checkpoints = new Map([['jobs', at(3)]])
    const place = { elsewhere: false }
    const { tracker, asked } = createTracker({ place, checkpoints })
    const waiting = codeOf(tracker.waitFor(at(3), 5_000, ['jobs']))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(asked).toEqual([])
    place.elsewhere = true
    tracker.moved()
    expect(await waiting).toBe('reached')
  })

  test('ends for all when the tracker is closed', async () => {
    const { tracker } = createTracker()
    const waiting = [1, 2, 3].map((number) => codeOf(tracker.waitFor(at(number), 60_000)))
    tracker.close()
    expect(await Promise.all(waiting)).toEqual(Array(3).fill('POSITION_NOT_REACHED'))
  })
})

describe('a position beyond the end of the log', () => {
  test('is refused at once, and callers at the same time share one reading', async () => {
    const { tracker, heads } = createTracker({ head: at(7) })
    const codes = await Promise.all(Array.from({ length: 50 }, () => codeOf(tracker.checkExists(at(8)))))
    expect(new Set(codes)).toEqual(new Set(['POSITION_AHEAD']))
    expect(heads()).toBeLessThanOrEqual(2)
    expect(await codeOf(tracker.checkExists(at(7)))).toBe('reached')
  })

  test('is not asked about when a read model is there already', async () => {
    const { tracker, heads } = createTracker()
    tracker.reached('jobs', at(9))
    await tracker.checkExists(at(9))
    expect(heads()).toBe(0)
  })

  test('is judged by a head that was read after the caller asked', async () => {
    const heads = [Promise.withResolvers<Position>(), Promise.withResolvers<Position>()]
    let read = 0
    const tracker = createPositionTracker({
      names,
      isElsewhere: () => false,
      readPositions: async () => [],
      head: () => heads[read++]?.promise ?? Promise.reject(new Error('not asked for')),
    })
    const early = codeOf(tracker.checkExists(at(1)))
    const late = codeOf(tracker.checkExists(at(2)))
    heads[0]?.resolve(at(1))
    heads[1]?.resolve(at(2))
    expect(await Promise.all([early, late])).toEqual(['reached', 'reached'])
  })
})

describe('those that wait', () => {
  test('end exactly when their position is reached, in any order of steps', async () => {
    const wanted = fc.array(fc.nat(30), { minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(wanted, fc.array(fc.nat(35), { maxLength: 20 }), async (numbers, steps) => {
        const waiters = createWaiters()
        const ended = numbers.map(() => false)
        const all = numbers.map((number, index) =>
          waiters.wait(at(number), 60_000).then(() => {
            ended[index] = true
          }),
        )
        let furthest = -1
        for (const step of steps) {
          waiters.reached(at(step))
          furthest = Math.max(furthest, step)
          await Promise.resolve()
          expect(ended).toEqual(numbers.map((number) => number <= furthest))
          expect(waiters.count()).toBe(numbers.filter((number) => number > furthest).length)
        }
        waiters.close()
        await Promise.all(all)
        expect(waiters.count()).toBe(0)
      }),
    )
  })

  test('cost a step nothing: 20,000 that wait for later positions, and 20,000 steps', async () => {
    const waiters = createWaiters()
    const all = Array.from({ length: 20_000 }, (_, number) => waiters.wait(at(900_000 + number), 60_000))
    const began = process.cpuUsage()
    for (let step = 0; step < 20_000; step++) waiters.reached(at(step))
    const { user, system } = process.cpuUsage(began)
    expect((user + system) / 1_000).toBeLessThan(500)
    waiters.close()
    await Promise.all(all)
  })
})
