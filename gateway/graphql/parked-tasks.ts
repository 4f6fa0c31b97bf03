import { Failure, type Refusal, refuse } from '../../domain/errors.ts'
import type { Decision, ParkedTask, TaskDecision } from '../../infra/parked-tasks/port.ts'
import { refuseWithoutPrivilege } from '../auth/privilege.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { limited } from './input-limits.ts'
import { payloadOf } from './payloads.ts'

const tasksShownMax = 100
const reasonLimit = { charactersMax: 1_000 }
/** The error of a task may hold a stack. */
const errorCharactersMax = 2_000

// What is parked

const Parked = builder.objectRef<ParkedTask>('ParkedTask').implement({
  description:
    'A timer, or a saga that an event has started, which has failed as often as it is tried. GPUs and money of its rental may stay reserved and held until it is retried.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Such as "walk:settle:<rental>:<revision>" or "expire:<rental>".' }),
    task: t.exposeString('task'),
    payload: t.exposeString('payload', { description: 'JSON.' }),
    attempts: t.exposeInt('attempts'),
    error: t.string({ nullable: true, resolve: ({ error }) => error?.slice(0, errorCharactersMax) }),
    since: t.expose('since', { type: 'DateTime', description: 'The moment of the last attempt.' }),
  }),
})

const DecisionType = builder.enumType('ParkedTaskDecisionKind', {
  values: { RETRY: { value: 'retry' }, GIVE_UP: { value: 'give up' } } as const,
})

const Decided = builder.objectRef<TaskDecision>('ParkedTaskDecision').implement({
  description: 'What an operator has decided about a parked task. Such records are never removed.',
  fields: (t) => ({
    decision: t.field({ type: DecisionType, resolve: ({ decision }) => decision }),
    by: t.exposeID('by', { description: 'The wallet of the operator.' }),
    reason: t.exposeString('reason'),
    at: t.expose('at', { type: 'DateTime' }),
    task: t.field({ type: Parked, description: 'The task as it was then.', resolve: (decided) => decided }),
  }),
})

/** Throws NOT_SIGNED_IN or PRIVILEGE_NEEDED for a wallet that is no operator. */
const requireOperator = (context: Context): void => {
  const refusal = refuseWithoutPrivilege('operator', context)
  if (refusal) throw new Failure(refusal.refused, refusal.details)
}

builder.queryField('parkedTasks', (t) =>
  t.field({
    type: [Parked],
    description: `The first ${tasksShownMax} parked tasks, the longest parked first, for operators. Fails with PRIVILEGE_NEEDED.`,
    resolve: (_, _arguments, context) => {
      requireOperator(context)
      return context.services.parkedTasks.parked(tasksShownMax)
    },
  }),
)

builder.queryField('parkedTaskDecisions', (t) =>
  t.field({
    type: [Decided],
    description: `The last ${tasksShownMax} decisions about parked tasks, for operators. Fails with PRIVILEGE_NEEDED.`,
    resolve: (_, _arguments, context) => {
      requireOperator(context)
      return context.services.parkedTasks.decisions(tasksShownMax)
    },
  }),
)

// Decisions

/** Carries out the decision of an operator. Refuses PRIVILEGE_NEEDED, INPUT_INVALID, PARKED_TASK_UNKNOWN. */
const decide = async (
  { services, wallet, ...caller }: Context,
  decision: Decision,
  { key, reason }: { readonly key: string; readonly reason: string },
): Promise<ParkedTask | Refusal> => {
  const refusal = refuseWithoutPrivilege('operator', { wallet, ...caller })
  if (refusal || wallet === undefined) return refusal ?? refuse('NOT_SIGNED_IN')
  const task = await services.parkedTasks.decide(key, { decision, by: wallet, reason })
  return task ?? refuse('PARKED_TASK_UNKNOWN')
}

const RetrySuccess = builder.objectRef<ParkedTask>('RetryParkedTaskSuccess')
RetrySuccess.implement({
  description: 'The task runs again, with all of its attempts.',
  fields: (t) => ({
    task: t.field({ type: Parked, description: 'The task as it was parked.', resolve: (task) => task }),
  }),
})

const RetryInput = builder.inputType('RetryParkedTaskInput', {
  fields: (t) => ({
    key: t.string({ required: true }),
    reason: t.string({
      defaultValue: '',
      description: 'It is recorded with the wallet and the time.',
      ...limited(reasonLimit),
    }),
  }),
})

builder.mutationField('retryParkedTask', (t) =>
  t.field({
    type: payloadOf('RetryParkedTask', RetrySuccess),
    description:
      'Runs a parked task again, for operators. Refuses PRIVILEGE_NEEDED, INPUT_INVALID, PARKED_TASK_UNKNOWN.',
    args: { input: t.arg({ type: RetryInput, required: true }) },
    resolve: (_, { input: { key, reason } }, context) => decide(context, 'retry', { key, reason: reason ?? '' }),
  }),
)

const GiveUpSuccess = builder.objectRef<ParkedTask>('GiveUpParkedTaskSuccess')
GiveUpSuccess.implement({
  description: 'The task is removed.',
  fields: (t) => ({
    task: t.field({ type: Parked, description: 'The task as it was parked.', resolve: (task) => task }),
  }),
})

const GiveUpInput = builder.inputType('GiveUpParkedTaskInput', {
  fields: (t) => ({
    key: t.string({ required: true }),
    reason: t.string({
      required: true,
      description: 'It is recorded with the wallet and the time.',
      ...limited(reasonLimit),
    }),
  }),
})

builder.mutationField('giveUpParkedTask', (t) =>
  t.field({
    type: payloadOf('GiveUpParkedTask', GiveUpSuccess),
    description:
      'Removes a parked task that cannot be completed, for operators. What it would have done is not done. Refuses PRIVILEGE_NEEDED, INPUT_INVALID, PARKED_TASK_UNKNOWN.',
    args: { input: t.arg({ type: GiveUpInput, required: true }) },
    resolve: (_, { input: { key, reason } }, context) =>
      reason.trim() === ''
        ? refuse('INPUT_INVALID', { reason: 'takes at least one character' })
        : decide(context, 'give up', { key, reason }),
  }),
)
