import { Failure, isFailure } from '../../domain/errors.ts'
import { errorCode } from '../system/errors.ts'

const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT', // of a unix socket
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '25006', // read_only_sql_transaction: the connection leads to a primary that has become a standby
  '53300', // too_many_connections
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout
])

/** Errors of the driver that have no code. */
const connectionMessages = [
  'Connection terminated',
  'Client has encountered a connection error',
  'Client was closed',
  'timeout exceeded when trying to connect',
  'Cannot use a pool after calling end',
]

/** Returns true when the connection failed, or is of no use any more, as opposed to the statement. The failure that
 *  toFailure has made of such an error counts as well. */
export const isConnectionError = (error: unknown): boolean => {
  if (typeof error !== 'object' || error === null) return false
  if (isFailure(error, 'DATABASE_UNAVAILABLE')) return isConnectionError(error.cause)
  const code = errorCode(error)
  if (code !== undefined) return connectionCodes.has(code) || code.startsWith('08')
  const { message } = error as { message?: unknown }
  return typeof message === 'string' && connectionMessages.some((text) => message.includes(text))
}

const diskFull = '53100'

/** Turns an error of the driver into a Failure with DATABASE_UNAVAILABLE or DATABASE_FULL, and returns any other error
 *  unchanged. `sent` is whether the statement may have reached the database. */
export const toFailure = (error: unknown, sent: 'no' | 'perhaps'): unknown => {
  if (error instanceof Failure) return error
  if (errorCode(error) === diskFull) return new Failure('DATABASE_FULL', { reason: (error as Error).message }, error)
  if (!isConnectionError(error)) return error
  const reason = (error as Error).message || errorCode(error) || 'no connection'
  return new Failure('DATABASE_UNAVAILABLE', { reason, sent }, error)
}
