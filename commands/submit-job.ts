import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { graceSecondsDefault, initial, type Program } from '../domain/job.ts'
import { userActor } from './actor.ts'
import { decideWithinLimits } from './decide.ts'
import { commandIds, ids } from './derived-ids.ts'
import { type Commands, type Executed, requestEnvelope } from './execute.ts'

/** What a renter asks for. The same key again is the same request and gets the same job. */
export type JobRequest = { readonly renter: string; readonly idempotencyKey: string; readonly rental: string } & Program

/** How many open jobs a rental may have, about: requests at the same moment are not counted together. */
const openJobsMax = 1_000

/** Submits a job that runs on the GPUs of an active rental of the renter. The rental admits it first, so that its stream
 *  has the order of jobs and end. Refuses RENTAL_UNKNOWN, NOT_YOURS, RENTAL_NOT_ACTIVE, RENTAL_JOBS_FULL, JOB_INVALID,
 *  IDEMPOTENCY_KEY_REUSED. */
export const submitJob = async (
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  { idempotencyKey, ...request }: JobRequest,
): Promise<({ readonly job: string } & Executed<'job'>) | Refusal> => {
  const job = ids.job(request.renter, idempotencyKey)
  const commandId = commandIds.submitJob(job, request)
  const { state, first } = await commands.current('rental', request.rental)
  if (state.status === 'none') return refuse('RENTAL_UNKNOWN', { rental: request.rental })
  if (state.renter !== request.renter) return refuse('NOT_YOURS')
  const submittedAt = now()
  const known = (await commands.current('job', job)).state.status !== 'none'
  if (!known && state.status !== 'active') return refuse('RENTAL_NOT_ACTIVE', { status: state.status })
  const command = { type: 'SubmitJob', submittedAt, ...request } as const
  const envelope = requestEnvelope(commandId, userActor(request.renter), submittedAt, first?.correlationId)
  if (!known && state.status === 'active') {
    // A job that cannot be submitted is not admitted.
    const decided = decideWithinLimits('job', command, initial)
    if (isRefusal(decided)) return decided
    if (state.openJobs.size >= openJobsMax) return refuse('RENTAL_JOBS_FULL', { openJobs: String(openJobsMax) })
    const graceSeconds = request.graceSeconds ?? graceSecondsDefault
    const admission = { type: 'AdmitJob', job, graceSeconds, admittedAt: submittedAt } as const
    const commandId = commandIds.admitJob(request.rental, job)
    const admitted = await commands.execute('rental', request.rental, admission, { ...envelope, commandId })
    if (isRefusal(admitted)) return admitted
    if (admitted.state.status !== 'active') return refuse('RENTAL_NOT_ACTIVE', { status: admitted.state.status })
  }
  const answer = await commands.execute('job', job, command, envelope)
  if (isRefusal(answer))
    return answer.refused === 'JOB_ALREADY_SUBMITTED' ? refuse('IDEMPOTENCY_KEY_REUSED', { idempotencyKey }) : answer
  return { job, ...answer }
}
