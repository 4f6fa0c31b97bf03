import { describe, expect, test } from '@jest/globals'
import { decodeDomainEvent } from '../domain/aggregates.ts'
import { type Event, evolve, initial } from '../domain/rental.ts'
import { checkAppends } from '../infra/event-store/validation.ts'
import { eventAt, placeOf, rentalsAtOnce, streamOf } from './events.ts'

describe('the events that are measured', () => {
  test('are a history that the domain can fold', () => {
    let state = initial
    for (let revision = 0; revision < 200; revision += 1) {
      const { type, data, metadata } = eventAt(7, revision)
      state = evolve(state, decodeDomainEvent({ type, version: metadata.schemaVersion, data }) as Event)
    }
    expect(state).toMatchObject({ status: 'active', runSeconds: 59_400n, charged: { amount: 66_000_000n } })
  })

  test('have ids that a store takes, each its own', () => {
    const events = [1, 2, 3_000_000_000].flatMap((rental) =>
      Array.from({ length: 500 }, (_, revision) => eventAt(rental, revision)),
    )
    checkAppends([{ stream: streamOf(1), expected: 'any', events }])
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
  })

  test('are about 400 characters of JSON', () => {
    const { data, metadata } = eventAt(12, 34)
    const characters = JSON.stringify(data).length + JSON.stringify(metadata).length
    expect(characters).toBeGreaterThan(350)
    expect(characters).toBeLessThan(450)
  })

  test('of different rentals alternate in the log, and each rental has its events in order, without a gap', () => {
    const length = 3
    const places = Array.from({ length: 2 * rentalsAtOnce * length }, (_, n) => placeOf(n, length))
    expect(places.slice(0, 2)).toEqual([
      { rental: 0, revision: 0 },
      { rental: 1, revision: 0 },
    ])
    expect(places.filter(({ rental }) => rental === 1_500)).toEqual(
      [0, 1, 2].map((revision) => ({ rental: 1_500, revision })),
    )
  })
})
