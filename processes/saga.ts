import { systemActor } from '../commands/actor.ts'
import type { Commands, Executed, RecordedEvent } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import type { AggregateName, CommandOf, DomainEvent, EventOf, StateOf } from '../domain/aggregates.ts'
import { type ErrorCode, Failure, isRefusal } from '../domain/errors.ts'

/** What a process walks from: one event of one aggregate, and all that was known of the aggregate at that moment. */
export type Cause<Name extends AggregateName, Type extends EventOf<Name>['type']> = {
  readonly id: string
  readonly event: Extract<EventOf<Name>, { type: Type }>
  readonly eventId: string
  readonly correlationId: string
  readonly state: StateOf<Name>
  readonly history: readonly RecordedEvent<EventOf<Name>>[]
}

/** A command on its way to one aggregate. */
export type Sent = {
  [Name in AggregateName]: { readonly to: Name; readonly id: string; readonly command: CommandOf<Name> }
}[AggregateName]

/** The events that this walk has caused so far, by type. */
export type Facts = { readonly [Type in DomainEvent['type']]?: Extract<DomainEvent, { type: Type }> }

/** `do` gives nothing when the step is not needed. `undo` takes back what `do` did. */
export type Step<Start> = {
  readonly name: string
  readonly do: (cause: Start, facts: Facts, now: string) => Sent | undefined
  readonly undo?: (cause: Start) => Sent
}

/** A walk over several aggregates. Its steps are pure; commands carry ids derived from the causing event, so however many
 *  walk it, however often and from wherever they start, they meet in the same events. */
export type Process<Name extends AggregateName, Type extends EventOf<Name>['type']> = {
  readonly name: string
  readonly starts: { readonly aggregate: Name; readonly type: Type }
  readonly steps: readonly Step<Cause<Name, Type>>[]
  /** What is recorded first when a step is refused: from then on nobody walks forwards any more. A process without it
   *  cannot be refused: a refusal in it is a defect, and is tried again. */
  readonly rejected?: (cause: Cause<Name, Type>, code: ErrorCode, now: string) => Sent
}

export type Walked = { readonly outcome: 'done' } | { readonly outcome: 'rejected'; readonly code: ErrorCode }

/** Walks to the end, forwards or back. Throws when a step that may not be refused was, and when the outcome of a step is
 *  unknown; walking again goes on from there. */
export const walk = async <Name extends AggregateName, Type extends EventOf<Name>['type']>(
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  process: Process<Name, Type>,
  { id, revision }: { readonly id: string; readonly revision: bigint },
): Promise<Walked & { readonly position: Executed<Name>['position'] }> => {
  const { state, history } = await commands.load(process.starts.aggregate, id, revision)
  const start = history.at(-1)
  if (start?.event.type !== process.starts.type)
    throw new Error(`${process.name} does not start at revision ${revision} of ${id}`)
  const cause = { ...start, event: start.event as Extract<EventOf<Name>, { type: Type }>, id, state, history }

  let facts: Facts = {}
  let position: Executed<Name>['position']
  const send = async (step: string, sent: Sent) => {
    const answer = await commands.execute(sent.to, sent.id, sent.command, {
      commandId: derivedId(process.name, cause.eventId, step),
      correlationId: cause.correlationId,
      causationId: cause.eventId,
      actor: systemActor(process.name),
      time: now(),
    })
    if (isRefusal(answer)) return answer.refused
    for (const { event } of answer.events) facts = { ...facts, [event.type]: event }
    if (answer.position && (!position || answer.position > position)) position = answer.position
    return refusalAmong(answer.events)
  }

  const done: Step<Cause<Name, Type>>[] = []
  for (const step of process.steps) {
    const sent = step.do(cause, facts, now())
    if (!sent) continue
    const code = await send(step.name, sent)
    if (code === undefined) {
      done.push(step)
      continue
    }
    if (!process.rejected) throw new Failure(code, { process: process.name, step: step.name, cause: cause.eventId })
    await send('reject', process.rejected(cause, code, now()))
    for (const { name, undo } of done.reverse()) if (undo) await send(`undo ${name}`, undo(cause))
    return { outcome: 'rejected', code, position }
  }
  return { outcome: 'done', position }
}

/** Some refusals are facts with an event of their own; to a walk they are refusals all the same. */
const refusalAmong = (events: readonly { readonly event: DomainEvent }[]): ErrorCode | undefined => {
  for (const { event } of events)
    if (event.type === 'CapacityRefused' || event.type === 'HoldRefused') return event.code
  return undefined
}

/** A fact that an earlier step must have left. Throws when the steps are in the wrong order. */
export const need = <Type extends DomainEvent['type']>(facts: Facts, type: Type): NonNullable<Facts[Type]> => {
  const fact = facts[type]
  if (!fact) throw new Error(`No ${type} so far`)
  return fact
}
