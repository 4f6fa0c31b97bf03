import { Failure } from '../../domain/errors.ts'

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
  '53300', // too_many_connections
])

/** Errors of the driver that have no code. */
const connectionMessages = [
  'Connection terminated',
  'Client has encountered a connection error',
  'Client was closed',
  'timeout exceeded when trying to connect',
  'Cannot use a pool after calling end',
]

/** Returns true when the connection failed, as opposed to the statement. */
export const isConnectionError = (error: unknown): boolean => {
  if (typeof error !== 'object' || error === null) return false
  const { code, message } = error as { code?: unknown; message?: unknown }
  if (typeof code === 'string') return connectionCodes.has(code) || code.startsWith('08')
  return typeof message === 'string' && connectionMessages.some((text) => message.includes(text))
}

const diskFull = '53100'

/** Turns an error of the driver into a Failure with DATABASE_UNAVAILABLE or DATABASE_FULL, and returns any other error
 *  unchanged. `sent` is whether the statement may have reached the database. */
export const toFailure = (error: unknown, sent: 'no' | 'perhaps'): unknown => {
  if (error instanceof Failure) return error
  if ((error as { code?: unknown } | undefined)?.code === diskFull)
    return new Failure('DATABASE_FULL', { reason: (error as Error).message }, error)
  if (!isConnectionError(error)) return error
  const { message, code } = error as { message: string; code?: string }
  return new Failure('DATABASE_UNAVAILABLE', { reason: message || code || 'no connection', sent }, error)
}
