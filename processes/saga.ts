import { systemActor } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import type { Commands, Executed, RecordedEvent } from '../commands/execute.ts'
import type { AggregateName, CommandOf, DomainEvent, EventOf, StateOf } from '../domain/aggregates.ts'
import { type ErrorCode, Failure, isRefusal } from '../domain/errors.ts'
import { compensationStep, rejectionStep } from './names.ts'

/** The event that starts a saga, and the aggregate as it was known at that event. */
export type Trigger<Name extends AggregateName, Type extends EventOf<Name>['type']> = {
  readonly id: string
  readonly event: Extract<EventOf<Name>, { type: Type }>
  readonly eventId: string
  readonly correlationId: string
  readonly state: StateOf<Name>
  readonly history: readonly RecordedEvent<EventOf<Name>>[]
}

/** A command with the aggregate that it goes to. */
export type OutgoingCommand = {
  [Name in AggregateName]: { readonly to: Name; readonly id: string; readonly command: CommandOf<Name> }
}[AggregateName]

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
export type Saga<Name extends AggregateName, Type extends EventOf<Name>['type']> = {
  readonly name: string
  readonly starts: { readonly aggregate: Name; readonly type: Type }
  readonly steps: readonly Step<Trigger<Name, Type>>[]
  /** The command that records a refused step, before anything is taken back: from then on no run goes forwards. A saga
   *  without it cannot be refused: a refusal in it is a defect, and is tried again. */
  readonly rejected?: (trigger: Trigger<Name, Type>, code: ErrorCode, now: string) => OutgoingCommand
}

export type SagaOutcome = { readonly outcome: 'done' } | { readonly outcome: 'rejected'; readonly code: ErrorCode }

/** Runs a saga to its end, forwards or back. Throws when a step was refused that cannot be, and when the outcome of a
 *  step is unknown; running it again goes on from there. */
export const runSaga = async <Name extends AggregateName, Type extends EventOf<Name>['type']>(
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  saga: Saga<Name, Type>,
  { id, revision }: { readonly id: string; readonly revision: bigint },
): Promise<SagaOutcome & { readonly position: Executed<Name>['position'] }> => {
  const trigger = await loadTrigger(commands, saga, id, revision)
  let events: SagaEvents = {}
  let position: Executed<Name>['position']

  /** Resolves to the code when the command was refused. */
  const send = async (step: string, { to, id, command }: OutgoingCommand): Promise<ErrorCode | undefined> => {
    const answer = await commands.execute(to, id, command, {
      commandId: commandIds.sagaStep(saga.name, trigger.eventId, step),
      correlationId: trigger.correlationId,
      causationId: trigger.eventId,
      actor: systemActor(saga.name),
      time: now(),
    })
    if (isRefusal(answer)) return answer.refused
    for (const { event } of answer.events) events = { ...events, [event.type]: event }
    if (answer.position && (!position || answer.position > position)) position = answer.position
    return refusalAmong(answer.events)
  }

  const done: Step<Trigger<Name, Type>>[] = []
  for (const step of saga.steps) {
    const command = step.invoke(trigger, events, now())
    if (!command) continue
    const code = await send(step.name, command)
    if (code === undefined) {
      done.push(step)
      continue
    }
    if (!saga.rejected) throw new Failure(code, { process: saga.name, step: step.name, cause: trigger.eventId })
    await send(rejectionStep, saga.rejected(trigger, code, now()))
    for (const { name, compensate } of done.reverse())
      if (compensate) await send(compensationStep(name), compensate(trigger))
    return { outcome: 'rejected', code, position }
  }
  return { outcome: 'done', position }
}

const loadTrigger = async <Name extends AggregateName, Type extends EventOf<Name>['type']>(
  commands: Commands,
  { name, starts }: Saga<Name, Type>,
  id: string,
  revision: bigint,
): Promise<Trigger<Name, Type>> => {
  const { state, history } = await commands.load(starts.aggregate, id, revision)
  const start = history.at(-1)
  if (start?.event.type !== starts.type) throw new Error(`${name} does not start at revision ${revision} of ${id}`)
  return { ...start, event: start.event as Extract<EventOf<Name>, { type: Type }>, id, state, history }
}

/** Returns the refusal among events: some refusals are stored as events, and a saga treats them as refusals too. */
const refusalAmong = (events: readonly { readonly event: DomainEvent }[]): ErrorCode | undefined => {
  for (const { event } of events)
    if (event.type === 'CapacityRefused' || event.type === 'HoldRefused') return event.code
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
