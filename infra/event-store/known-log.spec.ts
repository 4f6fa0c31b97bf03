import { describe, expect, test } from '@jest/globals'
import { codeThrownBy } from './contract.ts'
import { createKnownLog, type KnownEvent } from './known-log.ts'
import type { Position } from './port.ts'

const event = (n: number): KnownEvent => ({ position: `p-${n}` as Position, id: `id-${n}`, stream: 's', revision: 0n })

describe('what a process knows of its log', () => {
  const begin = (...answers: (boolean | Error)[]) => {
    const asked: (KnownEvent | undefined)[] = []
    const replaced: string[] = []
    const known = createKnownLog({
      isThere: async (about) => {
        asked.push(about)
        const answer = answers.shift()
        if (answer === undefined || answer instanceof Error) throw answer ?? new Error('not expected')
        return answer
      },
      onReplaced: ({ code }) => replaced.push(code),
      pauseMs: 1,
    })
    return { known, asked, replaced }
  }

  test('is the event at the highest position, in whatever order they come', () => {
    const { known } = begin()
    expect(known.latest()).toBeUndefined()
    for (const n of [3, 5, 4]) known.add(event(n))
    expect(known.latest()).toEqual(event(5))
  })

  test('an event that is there is found by one look', async () => {
    const { known, asked } = begin(true)
    known.add(event(1))
    await known.look()
    expect(asked).toEqual([event(1)])
    known.assertSame()
  })

  test('one that is there again two seconds later was never missed', async () => {
    const { known, asked, replaced } = begin(false, true)
    known.add(event(1))
    await known.look()
    expect(asked).toHaveLength(2)
    expect(replaced).toEqual([])
    known.assertSame()
  })

  test('one that is twice not there means another log, for ever and without a further look', async () => {
    const { known, asked, replaced } = begin(false, false)
    known.add(event(1))
    expect(await codeThrownBy(known.look)).toBe('LOG_REPLACED')
    expect(await codeThrownBy(known.look)).toBe('LOG_REPLACED')
    expect(await codeThrownBy(known.assertSame)).toBe('LOG_REPLACED')
    expect(asked).toHaveLength(2)
    expect(replaced).toEqual(['LOG_REPLACED'])
  })

  test('an outage while looking is no finding: the next look begins anew', async () => {
    const { known, asked } = begin(false, new Error('away'), false, true)
    known.add(event(1))
    await expect(known.look()).rejects.toThrow('away')
    known.assertSame()
    await known.look()
    expect(asked).toHaveLength(4)
  })

  test('those who doubt at the same time share one look', async () => {
    const { known, asked } = begin(false, true)
    known.add(event(1))
    await Promise.all([known.look(), known.look(), known.look()])
    expect(asked).toHaveLength(2)
  })

  test('both looks ask for the event that was the latest at the first one', async () => {
    const { known, asked } = begin(false, false)
    known.add(event(1))
    const code = codeThrownBy(known.look)
    known.add(event(2))
    expect(await code).toBe('LOG_REPLACED')
    expect(asked).toEqual([event(1), event(1)])
  })
})
