import { aggregates } from '../../domain/aggregates.ts'
import { isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import { refuseWithoutPrivilege } from '../auth/privilege.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { dispatch } from './dispatch.ts'
import { limited } from './input-limits.ts'
import { type NodeAnswer, payloadOf } from './payloads.ts'

type Declared = NodeAnswer & { readonly rental: string }

/** Fails a job whose cluster will never report its end. Refuses NOT_SIGNED_IN, PRIVILEGE_NEEDED, INPUT_INVALID,
 *  JOB_UNKNOWN, JOB_NOT_RUNNING, JOB_STOP_NOT_REQUESTED, JOB_ATTEMPT_STALE, JOB_FINISHED. */
const declareLost = async (context: Context, job: string, reason: string): Promise<Declared | Refusal> => {
  const refusal = refuseWithoutPrivilege('operator', context)
  if (refusal) return refusal
  if (reason.trim() === '') return refuse('INPUT_INVALID', { reason: 'takes at least one character' })
  const { state } = await context.services.commands.current('job', job)
  if (state.status === 'none') return refuse('JOB_UNKNOWN', { job })
  const { attempt, rental } = state
  const answer = await dispatch(context, 'job', job, (operator, declaredAt) => ({
    type: 'DeclareJobLost',
    operator,
    attempt,
    reason,
    declaredAt,
  }))
  return isRefusal(answer) ? answer : { ...answer, rental }
}

const DeclareSuccess = builder.objectRef<Declared>('DeclareJobLostSuccess')
DeclareSuccess.implement({
  description: 'The job has failed with JOB_LOST. A rental that waited for it alone ends now.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the job.' }),
    rental: t.exposeID('rental', { description: 'The id of its rental.' }),
    position: t.expose('position', { type: 'Position' }),
  }),
})

const DeclareInput = builder.inputType('DeclareJobLostInput', {
  fields: (t) => ({
    job: t.id({ required: true }),
    reason: t.string({
      required: true,
      description: 'It is recorded with the wallet and the time, and shown to the renter.',
      ...limited(aggregates.job.commandFields.reason),
    }),
  }),
})

builder.mutationField('declareJobLost', (t) =>
  t.field({
    type: payloadOf('DeclareJobLost', DeclareSuccess),
    description:
      'Fails a running job whose cluster is lost for good, for operators, once a stop was requested: its rental can end, and its GPUs are free. Make sure that it runs no more. Refuses PRIVILEGE_NEEDED, INPUT_INVALID, JOB_UNKNOWN, JOB_NOT_RUNNING, JOB_STOP_NOT_REQUESTED, JOB_FINISHED.',
    args: { input: t.arg({ type: DeclareInput, required: true }) },
    resolve: (_, { input: { job, reason } }, context) => declareLost(context, job, reason),
  }),
)
