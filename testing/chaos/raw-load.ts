import type { Append, ExpectedRevision, Json, NewEvent } from '../../infra/event-store/port.ts'
import { below, pick, type Random } from '../random.ts'

const types = ['ChaosBegun', 'ChaosWentOn', 'ChaosEnded'] as const
const hotStreams = 6
const warmStreams = 150
const appendEventsMax = 10
const raceMs = 250

/** Returns an event that is derived from its id alone, so that a writer can append the same one again after a kill. */
export const rawEvent = (id: string): NewEvent => {
  const seed = Number.parseInt(id.slice(0, 8), 16)
  const data: Json = { id, number: seed / 7, text: 'ä€😀'.repeat(seed % 5) + id.repeat(seed % 9) }
  const metadata = { commandId: id, correlationId: id, causationId: id, actor: 'system:chaos', schemaVersion: 1 }
  return {
    id,
    type: types[seed % types.length] ?? types[0],
    data,
    metadata: { ...metadata, time: new Date(1_767_225_600_000 + seed).toISOString() },
  }
}

/** The revisions of streams as a writer knows them from its last answers. */
export type Revisions = { get(stream: string): bigint | undefined; set(stream: string, revision: bigint): void }

/** Returns what one writer appends next: to streams that all writers share, to its own, or to new ones that two may
 *  create at the same time; 1 to 10 events, with every kind of expected revision, sometimes to several streams at
 *  once where the store can. */
export const nextAppends = (world: {
  readonly random: Random
  readonly writer: string
  /** Whether the store can append to several streams at once. */
  readonly toMany: boolean
  readonly revisions: Revisions
  readonly newId: () => string
  readonly nowMs: number
}): readonly Append[] => {
  const { random, writer, toMany, revisions, newId, nowMs } = world
  const events = () => Array.from({ length: 1 + below(random, appendEventsMax) }, () => rawEvent(newId()))
  const at = (stream: string): ExpectedRevision => revisions.get(stream) ?? 'any'
  const hot = (): Append => {
    const stream = `chaos-hot-${below(random, hotStreams)}`
    const known = revisions.get(stream) !== undefined
    const expected = random() < 0.6 ? at(stream) : known && random() < 0.2 ? 'stream exists' : 'any'
    return { stream, expected, events: events() }
  }
  const warm = (): Append => {
    const stream = `chaos-${writer}-${below(random, warmStreams)}`
    return { stream, expected: at(stream), events: events() }
  }
  const fresh = (): Append => ({ stream: `chaos-${newId()}`, expected: 'no stream', events: events() })
  const raced = (): Append => ({
    stream: `chaos-race-${Math.floor(nowMs / raceMs)}`,
    expected: 'no stream',
    events: events(),
  })
  const chance = random()
  if (chance < 0.4) return [hot()]
  if (chance < 0.7) return [warm()]
  if (chance < 0.8) return [fresh()]
  if (chance < 0.9 || !toMany) return [raced()]
  return pick(random, [[hot, warm] as const, [warm, fresh] as const, [fresh, hot, warm] as const]).map((make) => make())
}
