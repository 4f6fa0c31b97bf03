import type { CommandOf } from '../domain/aggregates.ts'
import { isFailure } from '../domain/errors.ts'
import { storable } from './reports.ts'

/** Returns whether the cluster itself was at fault, and not the job: nothing of the attempt runs, and the same one may be
 *  launched later. */
export const isFaultOfCluster = (error: unknown): boolean =>
  isFailure(error, 'CLUSTER_UNAVAILABLE') || isFailure(error, 'DATA_FOLDER_UNREACHABLE')

/** Returns the command for an attempt that the cluster could not start. A job that no cluster can run fails at once;
 *  after any other error the next attempt may succeed. */
export const failedStartCommandOf = (attempt: number, error: unknown, at: string): CommandOf<'job'> => {
  const message = storable(error instanceof Error ? error.message : String(error))
  return isFailure(error, 'JOB_INVALID') || isFailure(error, 'JOB_ISOLATION_MISSING')
    ? { type: 'FailJob', attempt, code: error.code, message, endedAt: at }
    : { type: 'InterruptJob', attempt, reason: message, interruptedAt: at }
}
