import { Failure } from '../../../domain/errors.ts'
import { errorCode } from '../../system/errors.ts'

/** What the machine answers when it has no room, files or processes left, whatever the job is. */
const codes = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']

/** Returns whether an error is one of the machine. */
export const isFaultOfMachine = (error: unknown): boolean => codes.includes(errorCode(error) ?? '')

/** Throws CLUSTER_UNAVAILABLE for an error of the machine at a start, and any other error as it is. */
export const explainFault = (error: unknown): never => {
  if (isFaultOfMachine(error)) throw new Failure('CLUSTER_UNAVAILABLE', { reason: (error as Error).message }, error)
  throw error
}
