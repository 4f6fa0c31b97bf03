import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Position } from '../../infra/event-store/port.ts'
import { createNarrowing } from './narrowing.ts'

const at = (number: number) => `spec-${String(number).padStart(6, '0')}` as Position
const tooLong = new Error('canceling statement due to statement timeout')

describe('the size of batches', () => {
  test('stays at the first overload, then is halved at the same position, down to one event, which is refused', () => {
    const narrowing = createNarrowing(8)
    const sizes = Array.from({ length: 6 }, () => {
      narrowing.overloaded(at(1), 8, tooLong)
      const { events, refuse } = narrowing.size()
      return refuse ? 'refused' : events
    })
    expect(sizes).toEqual([8, 4, 2, 1, 'refused', 'refused'])
  })

  test('is halved from what there was, when there was less than a whole batch', () => {
    const narrowing = createNarrowing(500)
    for (let turn = 0; turn < 2; turn++) narrowing.overloaded(at(1), 3, tooLong)
    expect(narrowing.size()).toEqual({ events: 1, refuse: undefined })
  })

  test('is not halved when the batches at other positions are overloaded now and then', () => {
    const narrowing = createNarrowing(8)
    for (let turn = 0; turn < 20; turn++) narrowing.overloaded(at(turn), 8, tooLong)
    expect(narrowing.size()).toEqual({ events: 8, refuse: undefined })
  })

  test('for any events that are too slow, exactly those are refused, and the rest is written in larger batches', () => {
    const history = fc.tuple(fc.array(fc.boolean(), { minLength: 1, maxLength: 200 }), fc.integer({ min: 1, max: 64 }))
    fc.assert(
      fc.property(history, ([slow, eventsMax]) => {
        const narrowing = createNarrowing(eventsMax)
        const refused: number[] = []
        let written = 0
        for (let statements = 0; written < slow.length; statements++) {
          expect(statements).toBeLessThan(20 * slow.length + 20)
          const { events, refuse } = narrowing.size()
          const batch = slow.slice(written, written + events)
          if (refuse) expect(batch).toHaveLength(1)
          if (refuse) refused.push(written)
          else if (batch.includes(true)) {
            narrowing.overloaded(at(written), batch.length, tooLong)
            continue
          }
          written += batch.length
          expect(narrowing.written()).toBe(refuse !== undefined || events < eventsMax)
        }
        expect(refused).toEqual(slow.flatMap((isSlow, index) => (isSlow ? [index] : [])))
      }),
    )
  })
})
