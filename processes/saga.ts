import { systemActor } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import type { Commands, Envelope, Executed, NextCommand, OutgoingCommand, RecordedEvent } from '../commands/execute.ts'
import type { AggregateName, DomainEvent, EventOf, StateOf } from '../domain/aggregates.ts'
import { type Details, type ErrorCode, Failure, isRefusal } from '../domain/errors.ts'
import { isFinal } from '../domain/refusals.ts'
import type { Position } from '../infra/event-store/port.ts'
import { compensationStep, rejectionStep } from './names.ts'

/** The event that starts a saga, the aggregate as it was at that event, and what the saga has gathered until then. */
export type Trigger<Name extends AggregateName, Type extends EventOf<Name>['type'], Gathered = undefined> = {
  readonly id: string
  readonly event: Extract<EventOf<Name>, { type: Type }>
  readonly eventId: string
  readonly correlationId: string
  readonly state: StateOf<Name>
  readonly gathered: Gathered
}

/** What a saga gathers from the events up to its trigger. They are given to it one after the other, for a stream may be
 *  longer than memory. */
type Gathering<Event, Gathered> = {
  readonly add: (recorded: RecordedEvent<Event>) => void
  readonly gathered: () => Gathered
}

/** The events that the saga has caused so far, by type. */
export type SagaEvents = { readonly [Type in DomainEvent['type']]?: Extract<DomainEvent, { type: Type }> }

/** One step: `invoke` returns its command, or undefined when the step is not needed; `compensate` returns the command
 *  that takes the step back. Both are pure. */
export type Step<Start> = {
  readonly name: string
  readonly invoke: (trigger: Start, events: SagaEvents, now: string) => OutgoingCommand | undefined
  readonly compensate?: (trigger: Start) => OutgoingCommand
}

/** A process manager over several aggregates: steps in order, each with the command that takes it back. The ids of its
 *  commands are derived from the trigger, so any number of runs, from wherever they start, lead to the same events. */
export type Saga<Name extends AggregateName, Type extends EventOf<Name>['type'], Gathered = undefined> = {
  readonly name: string
  readonly starts: { readonly aggregate: Name; readonly type: Type }
  readonly gather?: () => Gathering<EventOf<Name>, Gathered>
  /** Returns whether the last step has been taken, by what is known of the aggregate at which the saga started. */
  readonly isDone?: (state: StateOf<Name>) => boolean
  readonly steps: readonly Step<Trigger<Name, Type, Gathered>>[]
  /** The command that records a refused step, before anything is taken back: from then on no run goes forwards. It must
   *  be refused once the saga has completed. A saga without it cannot be refused: a refusal in it is a defect, and is
   *  tried again. */
  readonly rejected?: (trigger: Trigger<Name, Type, Gathered>, code: ErrorCode, now: string) => OutgoingCommand
}

export type SagaOutcome = { readonly outcome: 'done' } | { readonly outcome: 'rejected'; readonly code: ErrorCode }

/** How often a run starts over because another run was faster. It finds that run's events then, so once is enough
 *  unless a third one interferes. */
const startsMax = 3

/** Runs a saga to its end, forwards or back. Only facts in the log and refusals that no later event can change decide
 *  which way: anything else (too many conflicts, an outage, a step that was refused and cannot be) is thrown, and
 *  running the saga again goes on from there. Steps are compensated only once the rejection is stored and was read; a
 *  compensation that is refused is thrown, after the others were tried. */
export const runSaga = async <Name extends AggregateName, Type extends EventOf<Name>['type'], Gathered>(
  dependencies: { readonly commands: Commands; readonly now: () => string },
  saga: Saga<Name, Type, Gathered>,
  { id, revision }: { readonly id: string; readonly revision: bigint },
): Promise<SagaOutcome & { readonly position: Executed<Name>['position'] }> => {
  const trigger = await loadTrigger(dependencies.commands, saga, id, revision)
  for (let starts = 0; starts < startsMax; starts += 1) {
    const ended = await runOnce(dependencies, saga, trigger)
    if (ended.outcome !== 'overtaken') return ended
  }
  throw new Failure('CONFLICT_UNRESOLVED', { process: saga.name, cause: trigger.eventId })
}

/** `overtaken`: this run could not reject, because another run has completed the saga meanwhile. Nothing was undone. */
type RunOutcome = (SagaOutcome | { readonly outcome: 'overtaken' }) & { readonly position: Position | undefined }

const runOnce = async <Name extends AggregateName, Type extends EventOf<Name>['type'], Gathered>(
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  saga: Saga<Name, Type, Gathered>,
  trigger: Trigger<Name, Type, Gathered>,
): Promise<RunOutcome> => {
  let events: SagaEvents = {}
  let position: Position | undefined

  const failure = (step: string, code: ErrorCode, details: Details = {}) =>
    new Failure(code, { process: saga.name, step, cause: trigger.eventId, ...details })

  const envelopeOf = (step: string): Envelope => ({
    commandId: commandIds.sagaStep(saga.name, trigger.eventId, step),
    correlationId: trigger.correlationId,
    causationId: trigger.eventId,
    actor: systemActor(saga.name),
    time: now(),
  })

  const take = (answer: Executed<AggregateName>): StepAnswer => {
    const answered = answer.events.map(({ event }) => event)
    events = withEvents(events, answered)
    if (answer.position && (!position || answer.position > position)) position = answer.position
    return { code: refusalAmong(answered), stored: answered.length > 0 }
  }

  /** Resolves to the code of a "no", if it was one. Throws a refusal that means "try again". */
  const send = async (step: string, { to, id, command }: OutgoingCommand): Promise<StepAnswer> => {
    const answer = await commands.execute(to, id, command, envelopeOf(step))
    if (!isRefusal(answer)) return take(answer)
    if (isFinal(answer.refused)) return { code: answer.refused, stored: false }
    throw failure(step, answer.refused, answer.details)
  }

  /** Takes the first of these steps: as many as one append can take, else one alone. Resolves to their answers, with
   *  undefined for a step that is not needed. */
  const takeNext = async (
    steps: readonly Step<Trigger<Name, Type, Gathered>>[],
  ): Promise<readonly (StepAnswer | undefined)[]> => {
    const together = await commands.executeTogether(
      steps.map(
        ({ name, invoke }): NextCommand =>
          (before) => {
            if (refusalAmong(before) !== undefined) return 'stop'
            const command = invoke(trigger, withEvents(events, before), now())
            return command && { ...command, envelope: envelopeOf(name) }
          },
      ),
    )
    if (together.length > 0) return together.map((answer) => answer && take(answer))
    const [step] = steps
    const command = step?.invoke(trigger, events, now())
    return [step && command && (await send(step.name, command))]
  }

  /** Compensates steps, last first. One that is refused does not keep the others from being compensated. */
  const compensate = async (steps: readonly Step<Trigger<Name, Type, Gathered>>[]): Promise<void> => {
    const refused: Failure[] = []
    for (const { name, compensate } of steps.toReversed()) {
      if (!compensate) continue
      const step = compensationStep(name)
      try {
        const { code } = await send(step, compensate(trigger))
        if (code !== undefined) throw failure(step, code)
      } catch (error) {
        if (!isRefusedStep(error, step)) throw error
        refused.push(error)
      }
    }
    if (refused[0]) throw refused[0]
  }

  const done: Step<Trigger<Name, Type, Gathered>>[] = []
  for (let taken = 0; taken < saga.steps.length; ) {
    for (const answer of await takeNext(saga.steps.slice(taken))) {
      const step = saga.steps[taken]
      taken += 1
      if (!step || !answer) continue
      const { code } = answer
      if (code === undefined) {
        done.push(step)
        continue
      }
      if (!saga.rejected) throw failure(step.name, code)
      const rejection = await send(rejectionStep, saga.rejected(trigger, code, now()))
      if (!rejection.stored) return { outcome: 'overtaken', position }
      await compensate(done)
      // Another run may have been refused for another reason: the one that was stored is the answer of all.
      return { outcome: 'rejected', code: events.RentalRejected?.code ?? code, position }
    }
  }
  return { outcome: 'done', position }
}

type StepAnswer = { readonly code: ErrorCode | undefined; readonly stored: boolean }

/** Returns whether the error is the refusal of this step, as opposed to an outage or a defect. */
const isRefusedStep = (error: unknown, step: string): error is Failure =>
  error instanceof Failure && error.details.step === step

const loadTrigger = async <Name extends AggregateName, Type extends EventOf<Name>['type'], Gathered>(
  commands: Commands,
  { name, starts, gather }: Saga<Name, Type, Gathered>,
  id: string,
  revision: bigint,
): Promise<Trigger<Name, Type, Gathered>> => {
  const gathering = gather?.()
  const known = gathering ? undefined : await commands.known(starts.aggregate, id, revision)
  const { state, last } =
    known?.revision === revision
      ? known
      : await commands.replay(starts.aggregate, id, {
          untilRevision: revision,
          each: (recorded) => gathering?.add(recorded),
        })
  if (last?.event.type !== starts.type) throw new Error(`${name} does not start at revision ${revision} of ${id}`)
  const event = last.event as Extract<EventOf<Name>, { type: Type }>
  const { eventId, correlationId } = last
  return { id, event, eventId, correlationId, state, gathered: gathering?.gathered() as Gathered }
}

/** Runs a saga to its end as `runSaga` does, but once in this process: the request that started it, and the event that
 *  it left in the log, get the same outcome. */
export const runSagaOnce = <Name extends AggregateName, Type extends EventOf<Name>['type'], Gathered>(
  dependencies: { readonly commands: Commands; readonly now: () => string },
  saga: Saga<Name, Type, Gathered>,
  start: { readonly id: string; readonly revision: bigint },
): ReturnType<typeof runSaga<Name, Type, Gathered>> =>
  dependencies.commands.doOnce(`${saga.name} ${start.id} ${start.revision}`, () => runSaga(dependencies, saga, start))

const withEvents = (events: SagaEvents, more: readonly DomainEvent[]): SagaEvents => ({
  ...events,
  ...Object.fromEntries(more.map((event) => [event.type, event])),
})

/** Returns the refusal among events: some refusals are stored as events, and a saga treats them as refusals too. */
const refusalAmong = (events: readonly DomainEvent[]): ErrorCode | undefined => {
  for (const event of events) if (event.type === 'CapacityRefused' || event.type === 'HoldRefused') return event.code
  return undefined
}

/** Returns the event of an earlier step. Throws when there is none: the steps are in the wrong order. */
export const requireEvent = <Type extends DomainEvent['type']>(
  events: SagaEvents,
  type: Type,
): NonNullable<SagaEvents[Type]> => {
  const event = events[type]
  if (!event) throw new Error(`No ${type} so far`)
  return event
}
