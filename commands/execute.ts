import { type AggregateName, type CommandOf, type EventOf, type StateOf, streamOf } from '../domain/aggregates.ts'
import { Failure, isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { createKeyedRunner } from '../infra/async/keyed-queue.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Turns } from '../infra/turns/port.ts'
import { type AggregateCacheLimits, createAggregateCache, type Folded } from './aggregate-cache.ts'
import { refuseStranger } from './authority.ts'
import { decideWithinLimits, newEventOf } from './decide.ts'
import type { Envelope, Executed } from './envelope.ts'
import { createOnce, type Once } from './once.ts'
import { aggregateOf, type RecordedEvent, recordedEventOf } from './recorded-event.ts'
import { createTogether, type ExecuteTogether } from './together.ts'

export { type Envelope, type Executed, requestEnvelope } from './envelope.ts'
export type { RecordedEvent } from './recorded-event.ts'
export type { NextCommand, OutgoingCommand } from './together.ts'

export type Loaded<Name extends AggregateName> = {
  readonly state: StateOf<Name>
  readonly revision: bigint | undefined
  readonly history: readonly RecordedEvent<EventOf<Name>>[]
}

/** An aggregate as it is stored now: all but the state is undefined when its stream does not exist. */
export type Current<Name extends AggregateName> = Pick<Folded<Name>, 'state' | 'revision' | 'first' | 'last'>

/** `isNew`: the stream most likely does not exist, so the command is decided first and read only if that was wrong. */
export type Execute = <Name extends AggregateName>(
  name: Name,
  id: string,
  command: CommandOf<Name>,
  envelope: Envelope,
  hint?: { readonly isNew: boolean },
) => Promise<Executed<Name> | Refusal>

type Asked<Name extends AggregateName> = readonly [
  name: Name,
  id: string,
  command: CommandOf<Name>,
  envelope: Envelope,
  hint?: { readonly isNew: boolean } | undefined,
]

export type Load = <Name extends AggregateName>(name: Name, id: string, untilRevision?: bigint) => Promise<Loaded<Name>>

/** Resolves to the aggregate up to a revision, or to the end. Gives each event to `each` and holds none but the last. */
export type Replay = <Name extends AggregateName>(
  name: Name,
  id: string,
  range: {
    readonly untilRevision?: bigint | undefined
    readonly each: (recorded: RecordedEvent<EventOf<Name>>) => void
  },
) => Promise<{ readonly state: StateOf<Name>; readonly last: RecordedEvent<EventOf<Name>> | undefined }>

export type Commands = {
  readonly execute: Execute
  /** Executes commands to different aggregates with one append, as far as that can be. */
  readonly executeTogether: ExecuteTogether
  /** Resolves to the aggregate as it is stored now, at the same cost however long its stream is. */
  readonly current: <Name extends AggregateName>(name: Name, id: string) => Promise<Current<Name>>
  /** Resolves to the aggregate as this process knows it, at a revision or later: reads it only where it does not. For
   *  decisions that an append checks, and for what never changes. */
  readonly known: <Name extends AggregateName>(name: Name, id: string, atLeast?: bigint) => Promise<Current<Name>>
  /** Does work that leads to the same result however often it is done: calls with the same key share what is under way,
   *  and get the result of what was done last, as far as this process remembers. Work that throws is forgotten. */
  readonly doOnce: Once
  /** Resolves to the aggregate with all its events, up to a revision or to the end. Reads them all. */
  readonly load: Load
  readonly replay: Replay
}

/** An aggregate that a command is decided on. `isCurrent`: it was just read, and not only taken from the cache. */
type View<Name extends AggregateName> = { readonly folded: Folded<Name>; readonly isCurrent: boolean }

/** One attempt at a command. `stale`: it was decided on an older state than `view`. `conflict`: another process has
 *  written after `folded`. Both times it is decided anew. */
type Attempt<Name extends AggregateName> =
  | { readonly outcome: 'answered'; readonly answer: Executed<Name> }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  | { readonly outcome: 'stale'; readonly view: View<Name> }
  | { readonly outcome: 'conflict'; readonly folded: Folded<Name> }

/** How often a command is decided anew beside the commands of other processes: where they cannot take turns, or until
 *  they do. */
const attemptsMax = 20
const attemptsBeforeTurnsMax = 2
/** How often while the processes take turns: then only those interfere that have not met a conflict yet. */
const attemptsInTurnMax = 100
const pauseMsMax = 50
const pauseInTurnMsMax = 5

/** Creates the one way to change anything. Takes the aggregate from the cache, finds an earlier answer to the command,
 *  asks for authority, decides, and appends at the revision of the decision; starts over when a later revision exists.
 *  What leads to no append is checked by no store, so it is decided only on an aggregate that was just read. Refusals
 *  are values. Throws DATABASE_UNAVAILABLE when the outcome is unknown: the same command again resolves it.
 *  @param turns lets processes that meet at a busy stream take turns there, so that each command is answered; without
 *  it, a command that was beaten 20 times is CONFLICT_UNRESOLVED. */
export const createCommands = ({
  store,
  cacheLimits,
  turns,
}: {
  readonly store: EventStore
  readonly cacheLimits?: AggregateCacheLimits
  readonly turns?: Turns | undefined
}): Commands => {
  // Hundreds of commands for one listing wait here for each other, instead of failing against each other in the
  // database. Commands of other processes are met by the expected revision.
  const inOrder = createKeyedRunner()
  const cache = createAggregateCache({ store, limits: cacheLimits })

  const replay: Replay = async (name, id, { untilRevision, each }) => {
    const { initial, evolve } = aggregateOf(name)
    let state = initial
    let last: RecordedEvent<EventOf<typeof name>> | undefined
    const take = (recorded: RecordedEvent<EventOf<typeof name>>) => {
      last = recorded
      state = evolve(state, recorded.event)
      each(recorded)
    }
    const known = cache.cached(name, id)
    // What is stored up to a revision does not change.
    if (untilRevision !== undefined && known?.history && (known.revision ?? -1n) >= untilRevision) {
      for (const recorded of known.history.slice(0, Number(untilRevision) + 1)) take(recorded)
      return { state, last }
    }
    const range = untilRevision === undefined ? {} : { limit: Number(untilRevision) + 1 }
    for await (const stored of store.readStream(streamOf(name, id), range)) take(recordedEventOf(name, stored))
    return { state, last }
  }

  const load: Load = async (name, id, untilRevision) => {
    const history: RecordedEvent<EventOf<typeof name>>[] = []
    const { state, last } = await replay(name, id, { untilRevision, each: (recorded) => void history.push(recorded) })
    return { state, revision: last?.revision, history }
  }

  const read = async <Name extends AggregateName>(name: Name, id: string): Promise<View<Name>> => ({
    folded: await cache.current(name, id),
    isCurrent: true,
  })

  /** Reads again after an append that was not taken. Where there is nothing new to read, the store itself was put
   *  back. */
  const readAgain = async <Name extends AggregateName>(name: Name, id: string, before: Folded<Name>) => {
    const view = await read(name, id)
    if (view.folded.revision !== before.revision) return view
    cache.forget(name, id)
    return read(name, id)
  }

  const earlierAnswer = async <Name extends AggregateName>(
    name: Name,
    id: string,
    { folded, isCurrent }: View<Name>,
    commandId: string,
  ): Promise<Attempt<Name> | undefined> => {
    const { events, position } = await cache.answerTo(name, id, folded, commandId)
    if (events.length === 0) return undefined
    const { state } = isCurrent ? folded : await cache.current(name, id)
    return { outcome: 'answered', answer: { outcome: 'executed', repeated: true, events, state, position } }
  }

  const attempt = async <Name extends AggregateName>(
    name: Name,
    id: string,
    command: CommandOf<Name>,
    envelope: Envelope,
    view: View<Name>,
  ): Promise<Attempt<Name>> => {
    const { folded } = view
    const earlier = await earlierAnswer(name, id, view, envelope.commandId)
    if (earlier) return earlier
    const decided =
      refuseStranger(name, envelope.actor, command, folded.state) ?? decideWithinLimits(name, command, folded.state)
    if (isRefusal(decided) || decided.length === 0) {
      const now = view.isCurrent ? view : await read(name, id)
      if (now.folded.revision !== folded.revision) return { outcome: 'stale', view: now }
      if (isRefusal(decided)) return { outcome: 'refused', refusal: decided }
      const { state } = now.folded
      const answer = { outcome: 'executed', repeated: false, events: [], state, position: undefined } as const
      return { outcome: 'answered', answer }
    }
    const events = decided.map((encoded, index) => newEventOf(encoded, envelope, index))
    const stream = streamOf(name, id)
    const appended = await store.append({ stream, expected: folded.revision ?? 'no stream', events }).catch((error) => {
      // It may be there now.
      if (folded.revision === undefined) cache.forget(name, id)
      throw error
    })
    if (appended.outcome === 'appended' && !appended.repeated) {
      const { folded: after, events: recorded } = cache.appended(name, id, folded, events)
      const { position } = appended
      const answer = { outcome: 'executed', repeated: false, events: recorded, state: after.state, position } as const
      return { outcome: 'answered', answer }
    }
    // Another process has written in between, or a repetition of this command was in flight.
    if (appended.outcome !== 'ids known') return { outcome: 'conflict', folded }
    // Another process has answered this very command a moment earlier and thus with other data: its answer can be read
    // now.
    const again = await readAgain(name, id, folded)
    const answer = await earlierAnswer(name, id, again, envelope.commandId)
    if (!answer) throw new Failure('EVENT_INVALID', { stream, reason: `the event ids are known: ${appended.problem}` })
    return answer
  }

  /** Resolves to the answer, or to undefined when each attempt met a conflict. */
  const attemptOften = async <Name extends AggregateName>(
    [name, id, command, envelope]: Asked<Name>,
    from: View<Name>,
    bounds: { readonly attemptsMax: number; readonly pauseMsMax: number },
    onConflict?: () => Promise<void>,
  ): Promise<Executed<Name> | Refusal | undefined> => {
    let view = from
    for (let attempts = 0; attempts < bounds.attemptsMax; attempts += 1) {
      const result = await attempt(name, id, command, envelope, view)
      if (result.outcome === 'answered') return result.answer
      if (result.outcome === 'refused') return result.refusal
      if (result.outcome === 'conflict') {
        await onConflict?.()
        await sleep(Math.random() * bounds.pauseMsMax)
      }
      view = result.outcome === 'stale' ? result.view : await readAgain(name, id, result.folded)
    }
    return undefined
  }

  const execute: Execute = (...asked) => {
    const [name, id] = asked
    const stream = streamOf(name, id)
    return inOrder(stream, async () => {
      if (!turns?.isContested(stream)) {
        const known = cache.cached(name, id) ?? (asked[4]?.isNew ? cache.none(name) : undefined)
        const view = known ? { folded: known, isCurrent: false } : await read(name, id)
        const bounds = { attemptsMax: turns ? attemptsBeforeTurnsMax : attemptsMax, pauseMsMax }
        const answer = await attemptOften(asked, view, bounds)
        if (answer) return answer
        await turns?.contest(stream)
      }
      const bounds = { attemptsMax: attemptsInTurnMax, pauseMsMax: pauseInTurnMsMax }
      const answer = await turns?.exclusively(stream, async () => {
        return attemptOften(asked, await read(name, id), bounds, () => turns.contest(stream))
      })
      return answer ?? refuse('CONFLICT_UNRESOLVED', { stream })
    })
  }

  const known: Commands['known'] = (name, id, atLeast = 0n) => cache.known(name, id, atLeast)

  const executeTogether = createTogether({ store, cache, inOrder, turns })
  return { execute, executeTogether, load, replay, current: cache.current, known, doOnce: createOnce() }
}

/** Returns the answer, or throws the refusal: for callers to which a refusal is a defect. */
export const mustExecute = <Name extends AggregateName>(answer: Executed<Name> | Refusal): Executed<Name> => {
  if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
  return answer
}
