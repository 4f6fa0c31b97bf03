// Who says each type of event and what follows from it, found out by telling the golden story and by asking the program's own
// declarations: nothing here is written down.
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

type Process = (typeof sagas)[number]

/** A process that starts at an event: the commands that it goes through, and those that take it back when one is refused. */
export type Follower = { readonly name: string; readonly forwards: readonly string[]; readonly back: readonly string[] }

export type EventCatalogue = {
  /** The commands that end in such an event, each with those who send it: `a wallet`, or a part of the platform. */
  readonly saidBy: ReadonlyMap<string, ReadonlySet<string>>
  readonly processes: readonly Follower[]
  readonly timers: readonly string[]
  readonly scheduler: boolean
  /** Types of events that a process, or the scheduler, says because of such an event. */
  readonly causes: ReadonlySet<string>
  /** Read models in which such an event changes a row. */
  readonly projections: readonly string[]
}

/** Every command that the story sends or that a process would send to take something back. */
export type Catalogued = { readonly facts: ReadonlyMap<string, EventCatalogue>; readonly sent: readonly SentCommand[] }

const add = (map: Map<string, Set<string>>, key: string, value: string) =>
  map.set(key, (map.get(key) ?? new Set()).add(value))

const senderOf = (actor: string) => (actor.startsWith('user:') ? 'a wallet' : actor.slice(actor.indexOf(':') + 1))

/** What a process sends when it is walked back from one of the events that start it. */
const backOf = async (
  store: EventStore,
  process: Process,
  { stream, revision }: StoredEvent,
): Promise<SentCommand[]> => {
  const { state, history } = await createCommands({ store }).load(process.starts.aggregate, idOf(stream), revision)
  const start = history.at(-1)
  if (!start) return []
  const cause = { ...start, id: idOf(stream), state, history } as Parameters<Process['steps'][number]['invoke']>[0]
  const undone = process.steps.flatMap(({ compensate }) => compensate?.(cause) ?? [])
  const rejected = process.rejected?.(cause, 'LISTING_FULL', start.eventId)
  return [...(rejected ? [rejected] : []), ...undone].map(({ to, command }) => ({
    to,
    command,
    actor: systemActor(process.name),
  }))
}

/** The types that the scheduler asks the bus for. */
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
    openWork: { openJobs: async () => [], activeRentals: async () => [] },
    now: () => '',
    log: silentLog,
    signal: AbortSignal.abort(),
  })
  return types
}

const isProcess = (actor: string) => sagas.some(({ name }) => actor === systemActor(name))

const listen = async (scheduled: readonly string[]) => {
  const states = new Map<AggregateName, Set<unknown>>()
  const sent: SentCommand[] = []
  const back = new Map<string, Set<string>>()
  const timers = new Map<string, Set<string>>()
  const causes = new Map<string, Set<string>>()
  const changes = new Map<string, Set<string>>()
  for (const chapter of chapterNames) {
    const store = createMemoryEventStore()
    const heard = await playChapter(store, chapter, 'facts', '2026-01-01T00:00:00.000Z')
    sent.push(...heard.sent)
    for (const [type, names] of heard.timers) for (const name of names) add(timers, type, name)
    const stored = await Array.fromAsync(store.readAll())
    const typeOf = new Map(stored.map(({ id, type }) => [id, type]))
    const latest = new Map<string, unknown>()
    const tables = allProjections.map((projection) => ({ projection, rows: new Map<string, AnyRow>() }))
    for (const event of stored) {
      const cause = typeOf.get(event.metadata.causationId)
      // Of a job, the event before is named as the cause; it caused something only where the scheduler waits for it.
      if (cause && (isProcess(event.metadata.actor) || scheduled.includes(cause))) add(causes, cause, event.type)
      for (const process of sagas.filter(({ starts }) => starts.type === event.type))
        for (const command of await backOf(store, process, event)) {
          sent.push(command)
          add(back, process.name, command.command.type)
        }
      const name = event.stream.slice(0, event.stream.indexOf('-')) as AggregateName
      const { initial, evolve } = aggregates[name] as unknown as { initial: unknown; evolve: Evolve }
      const state = latest.get(event.stream) ?? initial
      const { event: decoded, recorded } = decodeStored(event)
      for (const { projection, rows } of tables)
        if (projection.types.includes(event.type) && foldInto(projection, rows, decoded, recorded))
          add(changes, event.type, projection.name)
      const next = evolve(state, decoded)
      latest.set(event.stream, next)
      const known = states.get(name) ?? new Set()
      states.set(name, known.add(initial).add(next))
    }
  }
  return { states, sent, back, timers, causes, changes }
}

type Evolve = (state: unknown, event: DomainEvent) => unknown
type Decide = (command: unknown, state: unknown) => ReturnType<(typeof aggregates)[AggregateName]['decide']>

/** Tells the whole story and tries every command that was sent in every state that was come to: so a command counts as saying
 *  an event also where the story happened to go another way. */
export const gatherCatalogue = async (): Promise<Catalogued> => {
  const scheduled = await schedulerTypes()
  const { states, sent, back, timers, causes, changes } = await listen(scheduled)
  const saidBy = new Map<string, Map<string, Set<string>>>()
  for (const { to, command, actor } of sent)
    for (const state of states.get(to) ?? []) {
      const answer = (aggregates[to].decide as Decide)(command, state)
      if (isRefusal(answer)) continue
      for (const { type } of answer) {
        const commands = saidBy.get(type) ?? new Map()
        saidBy.set(type, add(commands, command.type, senderOf(actor)))
      }
    }
  const followerOf = (name: string): Follower => {
    const all = new Set(sent.filter(({ actor }) => actor === systemActor(name)).map(({ command }) => command.type))
    const backwards = back.get(name) ?? new Set()
    return { name, forwards: [...all].filter((type) => !backwards.has(type)), back: [...backwards] }
  }
  const types = Object.values(aggregates).flatMap(({ schemas }) => Object.keys(schemas))
  const facts = types.map((type): [string, EventCatalogue] => [
    type,
    {
      saidBy: saidBy.get(type) ?? new Map(),
      processes: handlersOf(type)
        .filter((name) => sagas.some((process) => process.name === name))
        .map(followerOf),
      timers: [...(timers.get(type) ?? [])],
      scheduler: scheduled.includes(type),
      causes: causes.get(type) ?? new Set(),
      projections: [...(changes.get(type) ?? [])],
    },
  ])
  return { facts: new Map(facts), sent }
}
