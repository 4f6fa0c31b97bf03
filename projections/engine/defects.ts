import { Failure } from '../../domain/errors.ts'
import type { EventStore, StoredEvent } from '../../infra/event-store/port.ts'
import { failureOf, type Parking } from './parked-streams.ts'
import { decodeStored, foldInto, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

/** How many events, the oldest and the newest, are looked at to find other streams. */
const eventsLookedAtMax = 100
/** The most other streams that are folded, and the most events of each. */
const streamsTriedMax = 20
const eventsTriedMax = 500

/** Checks, when every stream of a batch was refused, whether the events are the cause or the fold. Other streams with
 *  such events decide: if one of their events folds, this batch was poison, however large it is. Throws
 *  READ_MODEL_DEFECTIVE when none does: then nothing is parked, because a corrected program folds them all. */
export const assertFoldWorks = async (
  {
    store,
    projection,
  }: { readonly store: Pick<EventStore, 'readStream' | 'readAll'>; readonly projection: Projection },
  parkings: readonly Parking[],
): Promise<void> => {
  const types = [...new Set(parkings.map(({ event }) => event.type))]
  const failed = new Set(parkings.map(({ event }) => event.stream))
  const others = new Set<string>()
  for (const direction of ['forwards', 'backwards'] as const)
    for await (const { stream } of store.readAll({ types, direction, limit: eventsLookedAtMax }))
      if (!failed.has(stream) && others.size < streamsTriedMax) others.add(stream)
  for (const stream of others) if (await foldsOneOf(store, projection, stream, types)) return
  const [first] = parkings
  throw new Failure('READ_MODEL_DEFECTIVE', {
    projection: projection.name,
    streams: String(parkings.length),
    ...(first && { first: first.event.stream, problem: failureOf(first.error).message }),
  })
}

/** Resolves to true when an event of these types can be folded in this stream. */
const foldsOneOf = async (
  store: Pick<EventStore, 'readStream'>,
  projection: Projection,
  stream: string,
  types: readonly string[],
): Promise<boolean> => {
  const rows = new Map<string, AnyRow>()
  const folds = (stored: StoredEvent): boolean => {
    const { event, metadata } = decodeStored(stored)
    foldInto(projection, rows, event, metadata)
    return types.includes(stored.type)
  }
  for await (const stored of store.readStream(stream, { limit: eventsTriedMax })) {
    if (!projection.types.includes(stored.type)) continue
    try {
      if (folds(stored)) return true
    } catch {
      return false
    }
  }
  return false
}
