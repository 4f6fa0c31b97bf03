// What causes each type of event and what follows from it, gathered by running the golden story and from the
// declarations of the program: nothing here is written by hand.
import { systemActor } from '../../commands/actor.ts'
import { createCommands } from '../../commands/execute.ts'
import { type AggregateName, aggregates, type DomainEvent, idOf } from '../../domain/aggregates.ts'
import { isRefusal } from '../../domain/errors.ts'
import type { Bus } from '../../infra/bus/port.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import type { EventStore, StoredEvent } from '../../infra/event-store/port.ts'
import { handlersOf, sagas } from '../../processes/subscriber.ts'
import { allProjections } from '../../projections/all.ts'
import { decodeStored, foldInto } from '../../projections/engine/projection.ts'
import type { AnyRow } from '../../projections/engine/table.ts'
import { runScheduler } from '../../scheduler/run.ts'
import { steadyHeartbeats } from '../worlds/heartbeats.ts'
import { silentLog } from '../worlds/silent-log.ts'
import { chapterNames, playChapter } from './story.ts'
import type { SentCommand } from './world.ts'

type AnySaga = (typeof sagas)[number]

/** A saga that starts at an event: the commands that it sends, and those that compensate them when one is refused. */
export type StartedSaga = {
  readonly name: string
  readonly commands: readonly string[]
  readonly compensations: readonly string[]
}

export type EventEntry = {
  /** The commands that end in such an event, each with its senders: `a wallet`, or a part of the platform. */
  readonly sentBy: ReadonlyMap<string, ReadonlySet<string>>
  readonly sagas: readonly StartedSaga[]
  readonly timers: readonly string[]
  readonly scheduler: boolean
  /** Types of events that a saga, or the scheduler, causes when such an event happens. */
  readonly causes: ReadonlySet<string>
  /** Read models in which such an event changes a row. */
  readonly projections: readonly string[]
}

/** An entry for each type of event. `sent` is every command of the story, and every one by which a saga compensates. */
export type EventCatalogue = { readonly events: ReadonlyMap<string, EventEntry>; readonly sent: readonly SentCommand[] }

const add = (map: Map<string, Set<string>>, key: string, value: string) =>
  map.set(key, (map.get(key) ?? new Set()).add(value))

const senderOf = (actor: string) => (actor.startsWith('user:') ? 'a wallet' : actor.slice(actor.indexOf(':') + 1))

/** Returns the commands of a saga that compensates all its steps after one of its triggers. */
const compensationsOf = async (
  store: EventStore,
  saga: AnySaga,
  { stream, revision }: StoredEvent,
): Promise<SentCommand[]> => {
  const { state, history } = await createCommands({ store }).load(saga.starts.aggregate, idOf(stream), revision)
  const start = history.at(-1)
  if (!start) return []
  const cause = { ...start, id: idOf(stream), state, gathered: undefined } as Parameters<
    AnySaga['steps'][number]['invoke']
  >[0]
  const undone = saga.steps.flatMap(({ compensate }) => compensate?.(cause) ?? [])
  const rejected = saga.rejected?.(cause, 'LISTING_FULL', start.eventId)
  return [...(rejected ? [rejected] : []), ...undone].map(({ to, command }) => ({
    to,
    command,
    actor: systemActor(saga.name),
  }))
}

/** Resolves to the types of events that the scheduler consumes. */
const schedulerTypes = async (): Promise<readonly string[]> => {
  const types: string[] = []
  const bus: Bus = {
    name: 'none',
    consume: async ({ filter }) => void types.push(...(filter.types ?? [])),
    position: async () => undefined,
  }
  const nothing = async () => undefined
  await runScheduler({
    bus,
    jobs: { reconcile: nothing, close: nothing },
    heartbeats: steadyHeartbeats(),
    openWork: { openJobs: async () => [] },
    now: () => '',
    log: silentLog,
    signal: AbortSignal.abort(),
  })
  return types
}

const isSaga = (actor: string) => sagas.some(({ name }) => actor === systemActor(name))

const replayStory = async (scheduled: readonly string[]) => {
  const states = new Map<AggregateName, Set<unknown>>()
  const sent: SentCommand[] = []
  const compensating = new Map<string, Set<string>>()
  const timers = new Map<string, Set<string>>()
  const causes = new Map<string, Set<string>>()
  const changes = new Map<string, Set<string>>()
  for (const chapter of chapterNames) {
    const store = createMemoryEventStore()
    const record = await playChapter(store, chapter, 'catalogue', '2026-01-01T00:00:00.000Z')
    sent.push(...record.sent)
    for (const [type, names] of record.timers) for (const name of names) add(timers, type, name)
    const stored = await Array.fromAsync(store.readAll())
    const typeOf = new Map(stored.map(({ id, type }) => [id, type]))
    const latest = new Map<string, unknown>()
    const tables = allProjections.map((projection) => ({ projection, rows: new Map<string, AnyRow>() }))
    for (const event of stored) {
      const cause = typeOf.get(event.metadata.causationId)
      // The cause of a job's event is the event before it; that one caused it only where the scheduler consumes its
      // type.
      if (cause && (isSaga(event.metadata.actor) || scheduled.includes(cause))) add(causes, cause, event.type)
      for (const saga of sagas.filter(({ starts }) => starts.type === event.type))
        for (const command of await compensationsOf(store, saga, event)) {
          sent.push(command)
          add(compensating, saga.name, command.command.type)
        }
      const name = event.stream.slice(0, event.stream.indexOf('-')) as AggregateName
      const { initial, evolve } = aggregates[name] as unknown as { initial: unknown; evolve: Evolve }
      const state = latest.get(event.stream) ?? initial
      const { event: decoded, metadata } = decodeStored(event)
      for (const { projection, rows } of tables)
        if (projection.types.includes(event.type) && foldInto(projection, rows, decoded, metadata))
          add(changes, event.type, projection.name)
      const next = evolve(state, decoded)
      latest.set(event.stream, next)
      const known = states.get(name) ?? new Set()
      states.set(name, known.add(initial).add(next))
    }
  }
  return { states, sent, compensating, timers, causes, changes }
}

type Evolve = (state: unknown, event: DomainEvent) => unknown
type Decide = (command: unknown, state: unknown) => ReturnType<(typeof aggregates)[AggregateName]['decide']>

/** Runs the whole story, and tries every sent command in every reached state: so a command counts as
 *  a cause of an event also where the story took another branch. */
export const gatherCatalogue = async (): Promise<EventCatalogue> => {
  const scheduled = await schedulerTypes()
  const { states, sent, compensating, timers, causes, changes } = await replayStory(scheduled)
  const sentBy = new Map<string, Map<string, Set<string>>>()
  for (const { to, command, actor } of sent)
    for (const state of states.get(to) ?? []) {
      const answer = (aggregates[to].decide as Decide)(command, state)
      if (isRefusal(answer)) continue
      for (const { type } of answer) {
        const commands = sentBy.get(type) ?? new Map()
        sentBy.set(type, add(commands, command.type, senderOf(actor)))
      }
    }
  const startedSaga = (name: string): StartedSaga => {
    const all = new Set(sent.filter(({ actor }) => actor === systemActor(name)).map(({ command }) => command.type))
    const compensations = compensating.get(name) ?? new Set()
    return { name, commands: [...all].filter((type) => !compensations.has(type)), compensations: [...compensations] }
  }
  const types = Object.values(aggregates).flatMap(({ schemas }) => Object.keys(schemas))
  const events = types.map((type): [string, EventEntry] => [
    type,
    {
      sentBy: sentBy.get(type) ?? new Map(),
      sagas: handlersOf(type)
        .filter((name) => sagas.some((saga) => saga.name === name))
        .map(startedSaga),
      timers: [...(timers.get(type) ?? [])],
      scheduler: scheduled.includes(type),
      causes: causes.get(type) ?? new Set(),
      projections: [...(changes.get(type) ?? [])],
    },
  ])
  return { events: new Map(events), sent }
}
