import { type AggregateName, type CommandOf, type DomainEvent, streamOf } from '../domain/aggregates.ts'
import { isFailure, isRefusal } from '../domain/errors.ts'
import type { KeyedRunner } from '../infra/async/keyed-queue.ts'
import type { EventStore, NewEvent } from '../infra/event-store/port.ts'
import type { Turns } from '../infra/turns/port.ts'
import type { AggregateCache, Folded } from './aggregate-cache.ts'
import { refuseStranger } from './authority.ts'
import { decideWithinLimits, newEventOf } from './decide.ts'
import type { Envelope, Executed } from './envelope.ts'
import { recordedEventOf } from './recorded-event.ts'

/** A command with the aggregate that it goes to. */
export type OutgoingCommand = {
  [Name in AggregateName]: { readonly to: Name; readonly id: string; readonly command: CommandOf<Name> }
}[AggregateName]

type Sent = OutgoingCommand & { readonly envelope: Envelope }

/** Returns a command, given the events of the commands before it: undefined when it is not needed, `stop` when it may
 *  not be sent. Pure: it may be called several times. */
export type NextCommand = (before: readonly DomainEvent[]) => Sent | 'stop' | undefined

/** Executes the first of these commands with one append to all their streams, and resolves to their answers, with
 *  undefined for one that is not needed. Resolves to none, with nothing written, where that cannot be: fewer than two of
 *  them lead to events by what is known here, two go to the same stream, another command is at one of the streams,
 *  others have written there twice, an event cannot be stored, or the event store appends to one stream at a time.
 *  `execute` answers the next one then, whatever the reason was. Throws DATABASE_UNAVAILABLE when the outcome is
 *  unknown. */
export type ExecuteTogether = (
  commands: readonly NextCommand[],
) => Promise<readonly (Executed<AggregateName> | undefined)[]>

type Decided = {
  readonly name: AggregateName
  readonly id: string
  readonly stream: string
  readonly folded: Folded<AggregateName>
  readonly events: readonly NewEvent[]
}

/** After a conflict the streams are read, so the second append meets one only where others are busy. */
const attemptsMax = 2

/** Creates the execution of several commands with one append. Each is decided on its aggregate as it is known here, and
 *  the append finds whether any of these has changed: then nothing is written. What leads to no append is never an
 *  answer here, since no store has checked it. */
export const createTogether = ({
  store,
  cache,
  inOrder,
  turns,
}: {
  readonly store: Pick<EventStore, 'appendToMany' | 'capabilities'>
  readonly cache: AggregateCache
  readonly inOrder: KeyedRunner
  readonly turns: Pick<Turns, 'isContested'> | undefined
}): ExecuteTogether => {
  const decide = ({ to, id, command, envelope }: Sent): Decided | undefined => {
    const folded: Folded<AggregateName> | undefined = cache.cached(to, id)
    // A command that may have been answered already is left to `execute`, which finds its answer.
    if (!folded || folded.answers.find(envelope.commandId).length > 0) return undefined
    const decided =
      refuseStranger(to, envelope.actor, command, folded.state) ?? decideWithinLimits(to, command, folded.state)
    if (isRefusal(decided) || decided.length === 0) return undefined
    const events = decided.map((encoded, index) => newEventOf(encoded, envelope, index))
    return { name: to, id, stream: streamOf(to, id), folded, events }
  }

  const decideAll = (commands: readonly NextCommand[]): readonly (Decided | undefined)[] => {
    const all: (Decided | undefined)[] = []
    const streams = new Set<string>()
    const before: DomainEvent[] = []
    for (const next of commands) {
      const command = next(before)
      if (command === 'stop') break
      const decided = command && decide(command)
      if (command && (!decided || streams.has(decided.stream) || turns?.isContested(decided.stream))) break
      all.push(decided)
      if (!decided) continue
      streams.add(decided.stream)
      const { name, events } = decided
      for (const event of events) before.push(recordedEventOf(name, { ...event, revision: 0n }).event)
    }
    return all
  }

  /** Resolves to undefined when nothing was written. */
  const append = async (all: readonly Decided[]) => {
    const appends = all.map(({ stream, folded, events }) => ({
      stream,
      expected: folded.revision ?? ('no stream' as const),
      events,
    }))
    const outcome = await store.appendToMany(appends).catch((error: unknown) => {
      // One that cannot be stored shall not keep the others from being executed.
      if (!isFailure(error, 'EVENT_INVALID')) throw error
    })
    if (!outcome || 'outcome' in outcome || outcome.some(({ repeated }) => repeated)) return undefined
    return new Map(
      all.map((decided, index) => {
        const { name, id, folded, events } = decided
        const after = cache.appended(name, id, folded, events)
        const position = outcome[index]?.position
        const answer = {
          outcome: 'executed',
          repeated: false,
          events: after.events,
          state: after.folded.state,
        } as const
        return [decided, { ...answer, position }]
      }),
    )
  }

  return async (commands) => {
    if (!store.capabilities.appendToMany) return []
    for (let attempts = 1; ; attempts += 1) {
      const all = decideAll(commands)
      const decided = all.filter((one) => one !== undefined)
      const appending =
        decided.length < 2
          ? undefined
          : inOrder.now(
              decided.map(({ stream }) => stream),
              () => append(decided),
            )
      if (!appending) return []
      const answers = await appending
      if (answers) return all.map((one) => one && answers.get(one))
      if (attempts === attemptsMax) return []
      await Promise.all(decided.map(({ name, id }) => cache.current(name, id)))
    }
  }
}
