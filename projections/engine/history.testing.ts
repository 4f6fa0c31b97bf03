import fc from 'fast-check'
import { aggregates, streamOf } from '../../domain/aggregates.ts'
import { encodeEvent } from '../../domain/events.ts'
import type { EventStore, Json } from '../../infra/event-store/port.ts'
import { at } from './log.testing.ts'
import { type Life, streamsOf } from './market.testing.ts'

const life = fc.record({
  number: fc.nat(40),
  end: fc.constantFrom('rejected' as const, 'active' as const, 'settled' as const),
})

/** For specs: some lives, the order in which their events come, and by how many seconds the clock of each is wrong. */
export const randomHistory = {
  lives: fc.uniqueArray(life, { selector: ({ number }) => number, minLength: 2, maxLength: 6 }),
  picks: fc.array(fc.nat(100), { minLength: 1, maxLength: 100 }),
  errors: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 20 }),
}
export type History = {
  readonly lives: readonly Life[]
  readonly picks: readonly number[]
  readonly errors: readonly number[]
}

const uuid = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`

/** Writes histories one after the other into one log. Their lives share accounts, but each is told once. */
export const createHistorian = (store: EventStore) => {
  let written = 0
  let told = 0
  return async ({ lives, picks, errors }: History): Promise<void> => {
    told += 1
    const left = lives
      .flatMap(({ number, end }) => streamsOf({ number: number + 1000 * told, end }))
      .map(({ events, ...stream }) => ({ ...stream, events: [...events] }))
    for (let pick = 0; left.length > 0; pick++) {
      const index = (picks[pick % picks.length] ?? 0) % left.length
      const stream = left[index]
      const event = stream?.events.shift()
      if (stream?.events.length === 0) left.splice(index, 1)
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
