import {
  type Aggregate,
  type AggregateName,
  aggregates,
  type CommandOf,
  type EventOf,
  type StateOf,
  streamOf,
} from '../domain/aggregates.ts'
import { Failure, isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { decodeEvent, encodeEvent } from '../domain/events.ts'
import type { EventStore, Json, NewEvent, Position, StoredEvent } from '../infra/event-store/port.ts'
import type { Actor } from './actor.ts'
import { refuseStranger } from './authority.ts'
import { derivedId } from './ids.ts'

/** What travels beside every command. The same `commandId` again is the same request: it gets the first answer. */
export type Envelope = {
  readonly commandId: string
  readonly correlationId: string
  /** The event or command directly before. */
  readonly causationId: string
  readonly actor: Actor
  /** ISO 8601 in UTC. */
  readonly time: string
}

/** The envelope of what somebody asked for, as opposed to what an event caused. `correlationId` is that of the earlier request
 *  to which this one belongs; left out, the request stands at the beginning. */
export const requestEnvelope = (
  commandId: string,
  actor: Actor,
  time: string,
  correlationId = commandId,
): Envelope => ({
  commandId,
  correlationId,
  causationId: commandId,
  actor,
  time,
})

export type RecordedEvent<Event> = {
  readonly event: Event
  readonly eventId: string
  readonly revision: bigint
  readonly correlationId: string
}
/** An event as it was read back: `commandId` is the command that caused it. */
type StoredRecord<Event> = RecordedEvent<Event> & { readonly position: Position; readonly commandId: string }

/** `events` are those of this command, `state` is the aggregate after all that is stored, `position` where the last of the
 *  events stands; undefined when the command had nothing new to say. */
export type Executed<Name extends AggregateName> = {
  readonly outcome: 'executed'
  readonly repeated: boolean
  readonly events: readonly RecordedEvent<EventOf<Name>>[]
  readonly state: StateOf<Name>
  readonly position: Position | undefined
}

export type Loaded<Name extends AggregateName> = {
  readonly state: StateOf<Name>
  readonly revision: bigint | undefined
  readonly history: readonly StoredRecord<EventOf<Name>>[]
}

export type Execute = <Name extends AggregateName>(
  name: Name,
  id: string,
  command: CommandOf<Name>,
  envelope: Envelope,
) => Promise<Executed<Name> | Refusal>

export type Load = <Name extends AggregateName>(name: Name, id: string, untilRevision?: bigint) => Promise<Loaded<Name>>

export type Commands = { readonly execute: Execute; readonly load: Load }

const attemptsMax = 20
const pauseMsMax = 50

/** The one way to change anything: load the aggregate, see whether the command was answered before, ask who may, decide,
 *  append at the revision that was read, and start over when someone else was faster. Refusals are values; throws
 *  DATABASE_UNAVAILABLE when the outcome is unknown (the same command again tells it). */
export const createCommands = ({ store }: { readonly store: EventStore }): Commands => {
  const inTurn = createTurns()

  const load: Load = async (name, id, untilRevision) => {
    const { initial, evolve, schemas } = aggregates[name] as unknown as AnyAggregate<typeof name>
    let state = initial
    let revision: bigint | undefined
    const history: StoredRecord<EventOf<typeof name>>[] = []
    for await (const stored of store.readStream(streamOf(name, id))) {
      if (untilRevision !== undefined && stored.revision > untilRevision) break
      const event = decodeEvent(schemas, {
        type: stored.type,
        version: stored.metadata.schemaVersion,
        data: stored.data,
      })
      state = evolve(state, event)
      revision = stored.revision
      history.push(recorded(stored, event))
    }
    return { state, revision, history }
  }

  const execute: Execute = (name, id, command, envelope) =>
    inTurn(streamOf(name, id), async () => {
      const { decide, evolve, schemas } = aggregates[name] as unknown as AnyAggregate<typeof name>
      let met: Failure | undefined
      for (let attempt = 1; attempt <= attemptsMax; attempt++) {
        const { state, revision, history } = await load(name, id)
        const before = history.filter(({ commandId }) => commandId === envelope.commandId)
        if (before.length > 0)
          return { outcome: 'executed', repeated: true, events: before, state, position: before.at(-1)?.position }
        if (met) throw met
        const decided = refuseStranger(name, envelope.actor, command, state) ?? decide(command, state)
        if (isRefusal(decided)) return decided
        if (decided.length === 0)
          return { outcome: 'executed', repeated: false, events: [], state, position: undefined }
        const events = decided.map((event, index) => toStore(encodeEvent(schemas, event), envelope, index))
        const append = { stream: streamOf(name, id), expected: revision ?? 'no stream', events } as const
        const appended = await store.append(append).catch((error: unknown) => {
          // Another process may have answered this command in between, a moment earlier and thus in other words: the
          // store knows its event ids, and the next look finds the answer.
          if (!(error instanceof Failure) || error.code !== 'EVENT_INVALID') throw error
          met = error
        })
        if (!appended) continue
        // Someone else wrote in between: what was decided may no longer hold. A repetition in flight ends here as well.
        if (appended.outcome === 'conflict' || appended.repeated) {
          await pause(Math.random() * pauseMsMax)
          continue
        }
        const first = appended.revision - BigInt(events.length - 1)
        return {
          outcome: 'executed',
          repeated: false,
          events: decided.map((event, index) => ({
            event,
            eventId: events[index]?.id ?? '',
            revision: first + BigInt(index),
            correlationId: envelope.correlationId,
          })),
          state: decided.reduce(evolve, state),
          position: appended.position,
        }
      }
      return refuse('CONFLICT_UNRESOLVED', { stream: streamOf(name, id) })
    })

  return { execute, load }
}

type AnyAggregate<Name extends AggregateName> = Aggregate<CommandOf<Name>, EventOf<Name>, StateOf<Name>>

const recorded = <Event>(stored: StoredEvent, event: Event): StoredRecord<Event> => ({
  event,
  eventId: stored.id,
  revision: stored.revision,
  position: stored.position,
  correlationId: stored.metadata.correlationId,
  commandId: stored.metadata.commandId,
})

const toStore = (
  encoded: { type: string; version: number; data: unknown },
  envelope: Envelope,
  index: number,
): NewEvent => ({
  id: derivedId(envelope.commandId, String(index)),
  type: encoded.type,
  data: encoded.data as Json,
  metadata: { ...envelope, schemaVersion: encoded.version },
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** One command at a time per stream in this process, in the order they came: hundreds who want the same listing wait for
 *  each other here instead of failing against each other in the database. Other processes are met by the expected revision. */
const createTurns = () => {
  const last = new Map<string, Promise<unknown>>()
  return async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const turn = (last.get(key) ?? Promise.resolve()).then(work, work)
    last.set(key, turn)
    try {
      return await turn
    } finally {
      if (last.get(key) === turn) last.delete(key)
    }
  }
}

/** The answer, or the refusal thrown: for callers to whom a refusal is a defect. */
export const mustExecute = <Name extends AggregateName>(answer: Executed<Name> | Refusal): Executed<Name> => {
  if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
  return answer
}
