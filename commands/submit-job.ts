import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import type { Program } from '../domain/job.ts'
import { userActor } from './actor.ts'
import { commandIds, ids } from './derived-ids.ts'
import { type Commands, type Executed, requestEnvelope } from './execute.ts'

/** What a renter asks for. The same key again is the same request and gets the same job. */
export type JobRequest = { readonly renter: string; readonly idempotencyKey: string; readonly rental: string } & Program

/** How many jobs of one rental may wait for a GPU. Requests at the same moment may exceed it by their number. */
export const waitingJobsMax = 100

type Dependencies = {
  readonly commands: Commands
  readonly now: () => string
  /** Resolves to how many jobs of a rental wait. Undefined: the queue has no limit. */
  readonly countWaiting?: (rental: string) => Promise<number>
}

/** Submits a job that runs on the GPUs of an active rental of the renter. Refuses RENTAL_UNKNOWN, NOT_YOURS,
 *  RENTAL_NOT_ACTIVE, JOB_QUEUE_FULL, JOB_INVALID, IDEMPOTENCY_KEY_REUSED. */
export const submitJob = async (
  { commands, now, countWaiting }: Dependencies,
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
  if (!known && countWaiting && (await countWaiting(request.rental)) >= waitingJobsMax)
    return refuse('JOB_QUEUE_FULL', { waiting: String(waitingJobsMax) })
  const answer = await commands.execute(
    'job',
    job,
    { type: 'SubmitJob', submittedAt, ...request },
    requestEnvelope(commandId, userActor(request.renter), submittedAt, first?.correlationId),
  )
  if (isRefusal(answer))
    return answer.refused === 'JOB_ALREADY_SUBMITTED' ? refuse('IDEMPOTENCY_KEY_REUSED', { idempotencyKey }) : answer
  return { job, ...answer }
}
