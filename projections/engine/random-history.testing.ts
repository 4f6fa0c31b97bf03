import fc from 'fast-check'
import { aggregates, streamOf } from '../../domain/aggregates.ts'
import { encodeEvent } from '../../domain/events.ts'
import type { EventStore, Json } from '../../infra/event-store/port.ts'
import { at } from './log.testing.ts'
import { type RentalScenario, streamsOf } from './market.testing.ts'

const scenario = fc.record({
  number: fc.nat(40),
  end: fc.constantFrom('rejected' as const, 'active' as const, 'settled' as const),
})

/** Arbitraries for specs: some rentals, the order in which their events come, and the errors of their clocks in
 *  seconds. */
export const randomHistory = {
  scenarios: fc.uniqueArray(scenario, { selector: ({ number }) => number, minLength: 2, maxLength: 6 }),
  picks: fc.array(fc.nat(100), { minLength: 1, maxLength: 100 }),
  errors: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 20 }),
}
/** One random history. */
export type History = {
  readonly scenarios: readonly RentalScenario[]
  readonly picks: readonly number[]
  readonly errors: readonly number[]
}

const uuid = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`

/** Returns the function that writes histories one after the other to one log. Their rentals share accounts, but each
 *  rental is written once. */
export const createHistoryWriter = (store: EventStore) => {
  let written = 0
  let histories = 0
  return async ({ scenarios, picks, errors }: History): Promise<void> => {
    histories += 1
    const remaining = scenarios
      .flatMap(({ number, end }) => streamsOf({ number: number + 1000 * histories, end }))
      .map(({ events, ...stream }) => ({ ...stream, events: [...events] }))
    for (let pick = 0; remaining.length > 0; pick++) {
      const index = (picks[pick % picks.length] ?? 0) % remaining.length
      const stream = remaining[index]
      const event = stream?.events.shift()
      if (stream?.events.length === 0) remaining.splice(index, 1)
      if (!stream || !event) continue
      const number = written++
      const { type, version, data } = encodeEvent(aggregates[stream.name].schemas, event)
      const metadata = {
        commandId: `command-${number}`,
        correlationId: `correlation-${number % 9}`,
        causationId: `cause-${number}`,
        actor: 'spec',
        time: at(number + 100 + (errors[pick % errors.length] ?? 0)),
        schemaVersion: version,
      }
      await store.append({
        stream: streamOf(stream.name, stream.id),
        expected: 'any',
        events: [{ id: uuid(number), type, data: data as Json, metadata }],
      })
    }
  }
}
