import { type AggregateName, type CommandOf, type EventOf, type StateOf, streamOf } from '../domain/aggregates.ts'
import { Failure, isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { encodeEvent } from '../domain/events.ts'
import type { EventStore, Json, NewEvent, Position } from '../infra/event-store/port.ts'
import type { Actor } from './actor.ts'
import { type AggregateCacheLimits, createAggregateCache, type Folded } from './aggregate-cache.ts'
import { refuseStranger } from './authority.ts'
import { eventIdOf } from './ids.ts'
import { aggregateOf, domainEventOf, type RecordedEvent, recorded, type StoredRecord } from './recorded.ts'

export type { RecordedEvent } from './recorded.ts'

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

/** Undefined, all but the state, when nothing is there. */
export type Current<Name extends AggregateName> = Pick<Folded<Name>, 'state' | 'revision' | 'first' | 'last'>

export type Execute = <Name extends AggregateName>(
  name: Name,
  id: string,
  command: CommandOf<Name>,
  envelope: Envelope,
) => Promise<Executed<Name> | Refusal>

export type Load = <Name extends AggregateName>(name: Name, id: string, untilRevision?: bigint) => Promise<Loaded<Name>>

export type Commands = {
  readonly execute: Execute
  /** The aggregate as it is stored now, at the same cost however long its stream is. */
  readonly current: <Name extends AggregateName>(name: Name, id: string) => Promise<Current<Name>>
  /** The aggregate with all its events, up to a revision or to the end. Reads them all. */
  readonly load: Load
}

const attemptsMax = 20
const pauseMsMax = 50

/** The one way to change anything: take the aggregate as it is remembered, see whether the command was answered before, ask who
 *  may, decide, append at the revision that it was decided on, and start over when that was not the last any more. What leads
 *  to no append is judged by nobody else, so it is said only of what is stored now. Refusals are values; throws
 *  DATABASE_UNAVAILABLE when the outcome is unknown (the same command again tells it). */
export const createCommands = ({
  store,
  remember,
}: {
  readonly store: EventStore
  readonly remember?: AggregateCacheLimits
}): Commands => {
  const inTurn = createTurns()
  const remembered = createAggregateCache({ store, limits: remember })

  const load: Load = async (name, id, untilRevision) => {
    const aggregate = aggregateOf(name)
    let state = aggregate.initial
    let revision: bigint | undefined
    const history: StoredRecord<EventOf<typeof name>>[] = []
    const range = untilRevision === undefined ? {} : { limit: Number(untilRevision) + 1 }
    for await (const stored of store.readStream(streamOf(name, id), range)) {
      const event = domainEventOf(aggregate, stored)
      state = aggregate.evolve(state, event)
      revision = stored.revision
      history.push(recorded(stored, event))
    }
    return { state, revision, history }
  }

  /** Looks again after an append was not taken. Where nothing new is to be found, the store itself was put back. */
  const lookAgain = async <Name extends AggregateName>(name: Name, id: string, before: Folded<Name>) => {
    const folded = await remembered.current(name, id)
    if (folded.revision !== before.revision) return folded
    remembered.forget(name, id)
    return remembered.current(name, id)
  }

  const execute: Execute = (name, id, command, envelope) =>
    inTurn(streamOf(name, id), async () => {
      const { decide, schemas } = aggregateOf(name)
      const { commandId } = envelope
      const known = remembered.cached(name, id)
      let folded = known ?? (await remembered.current(name, id))
      let isNow = known === undefined
      let met: Failure | undefined
      for (let attempt = 1; attempt <= attemptsMax; attempt++) {
        const before = await remembered.answerTo(name, id, folded, commandId)
        if (before.length > 0) {
          const { state } = isNow ? folded : await remembered.current(name, id)
          return { outcome: 'executed', repeated: true, events: before, state, position: before.at(-1)?.position }
        }
        if (met) throw met
        const decided = refuseStranger(name, envelope.actor, command, folded.state) ?? decide(command, folded.state)
        if (isRefusal(decided) || decided.length === 0) {
          const { revision } = folded
          if (!isNow) folded = await remembered.current(name, id)
          isNow = true
          if (folded.revision !== revision) continue
          if (isRefusal(decided)) return decided
          return { outcome: 'executed', repeated: false, events: [], state: folded.state, position: undefined }
        }
        const events = decided.map((event, index) => toStore(encodeEvent(schemas, event), envelope, index))
        const append = { stream: streamOf(name, id), expected: folded.revision ?? 'no stream', events } as const
        const appended = await store.append(append).catch((error: unknown) => {
          // Another process may have answered this command in between, a moment earlier and thus in other words: the
          // store knows its event ids, and the next look finds the answer.
          if (!(error instanceof Failure) || error.code !== 'EVENT_INVALID') throw error
          met = error
        })
        if (appended?.outcome === 'appended' && !appended.repeated) {
          const { folded: after, events: answer } = remembered.appended(name, id, folded, events)
          return {
            outcome: 'executed',
            repeated: false,
            events: answer,
            state: after.state,
            position: appended.position,
          }
        }
        // Someone else wrote in between: what was decided may no longer hold. A repetition in flight ends here as well.
        if (appended) await pause(Math.random() * pauseMsMax)
        folded = await lookAgain(name, id, folded)
        isNow = true
      }
      return refuse('CONFLICT_UNRESOLVED', { stream: streamOf(name, id) })
    })

  return { execute, load, current: remembered.current }
}

const toStore = (
  encoded: { type: string; version: number; data: unknown },
  envelope: Envelope,
  index: number,
): NewEvent => ({
  id: eventIdOf(envelope.commandId, index, envelope.time),
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
