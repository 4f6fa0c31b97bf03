import type { CommandOf } from '../domain/aggregates.ts'
import { errors, Failure, isFailure } from '../domain/errors.ts'
import { storable } from './reports.ts'

/** Returns whether the cluster itself was at fault, and not the job: nothing of the attempt runs, and the same one may be
 *  launched later. */
export const isFaultOfCluster = (error: unknown): boolean =>
  isFailure(error, 'CLUSTER_UNAVAILABLE') || isFailure(error, 'DATA_FOLDER_UNREACHABLE')

/** Returns the command for an attempt that the cluster could not start. A job that no cluster can run fails at once;
 *  after any other error the next attempt may succeed. The renter reads the reason, so it names nothing of the machine, such
 *  as a path: that is in the log. */
export const failedStartCommandOf = (attempt: number, error: unknown, at: string): CommandOf<'job'> => {
  if (isFailure(error, 'JOB_INVALID') || isFailure(error, 'JOB_ISOLATION_MISSING'))
    return { type: 'FailJob', attempt, code: error.code, message: storable(error.message), endedAt: at }
  const reason = error instanceof Failure ? errors[error.code].message : 'The cluster could not start the job.'
  return { type: 'InterruptJob', attempt, reason, interruptedAt: at }
}
