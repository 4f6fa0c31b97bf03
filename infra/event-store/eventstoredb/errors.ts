import { Failure, isFailure } from '../../../domain/errors.ts'
import type { ServerEvent } from './events.ts'

/** The codes of https://grpc.github.io/grpc/core/md_doc_statuscodes.html that have a meaning for an append or a read
 *  here. */
const grpc = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  aborted: 10,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const

/** The call or its response was lost, or the server does not know itself what has happened: the request may have been
 *  carried out, and the next may succeed. */
const unavailableCodes: ReadonlySet<unknown> = new Set([
  grpc.cancelled,
  grpc.unknown,
  grpc.deadlineExceeded,
  grpc.resourceExhausted,
  grpc.aborted,
  grpc.internal,
  grpc.unavailable,
  grpc.dataLoss,
])

/** These errors have no code, or one without a meaning. */
const unavailableMessages = [
  'Failed to discover after',
  'No leader info available',
  'Channel has been shut down',
  'Channel has been closed',
  'Stream removed',
]

/** An error of the client: `type` is its own name for it, `_raw` is the error of the transport. */
type ClientError = Error & {
  readonly type?: string
  readonly code?: unknown
  readonly metadata?: { get(key: string): readonly unknown[] }
  readonly _raw?: ClientError
}

/** Returns the server's name of the exception, from the trailer `exception`; the client has types for some of them
 *  only. */
const exceptionOf = (error: ClientError): string | undefined => {
  const [named] = error.metadata?.get('exception') ?? error._raw?.metadata?.get('exception') ?? []
  return named === undefined ? error.type : String(named)
}

const isDenial = (error: ClientError): boolean => {
  const code = error.code ?? error._raw?.code
  return exceptionOf(error) === 'access-denied' || code === grpc.permissionDenied || code === grpc.unauthenticated
}

/** Returns true when the called server is not the leader: nothing was done, and the client reconnects to the leader. */
export const isNotLeader = (error: unknown): boolean =>
  error instanceof Error && exceptionOf(error as ClientError) === 'not-leader'

/** Returns the failure for an outage of the server. Its details name the event store, since the code names the
 *  database. */
export const storeUnavailable = (reason: string, cause?: unknown): Failure =>
  new Failure('DATABASE_UNAVAILABLE', { database: 'the event store of EVENTSTORE_URL', reason }, cause)

/** Why an append failed whose caller waited no longer when it could have been sent. */
export const notSent = 'the server was away too long, and nothing was sent'

/** Returns the failure of an append whose events may have been written: no error after they were
 *  sent shows that they were not. LOG_REPLACED stays. */
export const openOutcome = (error: unknown): Failure => {
  if (isFailure(error, 'DATABASE_UNAVAILABLE') || isFailure(error, 'LOG_REPLACED')) return error
  return storeUnavailable(error instanceof Error ? error.message : String(error), error)
}

/** Returns the error for each append that waits on a call which has ended with this error: what another append or a server
 *  between has to do with it is not known. Returns it unchanged where it came from a node that is not the leader, and
 *  where the call was denied before anything was answered on it: no append got through. */
export const errorOfCall = (error: unknown, wasAnswered: boolean): unknown =>
  isNotLeader(error) || (error instanceof Error && isDenial(error) && !wasAnswered) ? error : openOutcome(error)

/** Returns the failure for a stream that lacks events. */
export const damaged = (stream: string, why: string, cause?: unknown): Failure =>
  new Failure('STREAM_DAMAGED', { stream, why }, cause)

/** Returns the failure for a stream with an event of another program: revisions are counted on, and what others write
 *  there is nothing that a command could be decided on. `foreignEvent` is its id on the server. */
export const holdsForeign = ({ stream, revision, type, serverId }: ServerEvent): Failure => {
  const why = `revision ${revision} is an event of another program: ${serverId}, of type ${type}`
  return new Failure('STREAM_DAMAGED', { stream, why, foreignEvent: serverId })
}

/** The server's names for refusals in its answers to appends, and those of its errors for the same. */
const exceptionOfRefusal: Readonly<Record<string, string>> = {
  AccessDenied: 'access-denied',
  MaximumAppendSizeExceeded: 'maximum-append-size-exceeded',
  MaximumAppendEventSizeExceeded: 'maximum-append-event-size-exceeded',
  StreamDeleted: 'stream-deleted',
}

/** Returns the error for an append that the server refused in its answer. A bad request is a defect of this program;
 *  whatever else it is (a time-out, a server that is not ready or busy, or no leader), the outcome is open. */
export const refusalOf = ({ reason, message }: { readonly reason: string; readonly message: string }): Error => {
  const type = exceptionOfRefusal[reason]
  if (type !== undefined) return Object.assign(new Error(message), { type })
  return reason === 'BadRequest' ? new Error(`${reason}: ${message}`) : storeUnavailable(message)
}

/** The stream or position that a call was about, for the details of its failure. */
export type ErrorContext = { readonly stream?: string; readonly position?: string }

/** Returns the failure for the caller: DATABASE_UNAVAILABLE when the outcome is unknown, EVENT_INVALID for an append
 *  too large for the server, CONFIG_INVALID when it denies access, POSITION_FOREIGN for a position of another log,
 *  STREAM_DAMAGED for a stream that was deleted forever.
 *  Returns any other error unchanged. */
export const toStoreFailure = (error: unknown, context: ErrorContext = {}) => {
  if (error instanceof Failure || !(error instanceof Error)) return error
  const clientError: ClientError = error
  const exception = exceptionOf(clientError)
  const code = clientError.code ?? clientError._raw?.code
  const { message } = clientError
  // A server or one between that has too much to do has the same code.
  const isTooLarge = code === grpc.resourceExhausted && /message (?:larger|exceeds|with a size larger)/i.test(message)
  if (exception?.startsWith('maximum-append') || isTooLarge)
    return new Failure(
      'EVENT_INVALID',
      { stream: context.stream ?? '', reason: `too large for the server: ${message}` },
      error,
    )
  if (isDenial(clientError))
    return new Failure(
      'CONFIG_INVALID',
      {
        variable: 'EVENTSTORE_URL',
        why: 'the server denies access: check the user and the password in the address, and that the user may read $all',
      },
      error,
    )
  if (code === grpc.invalidArgument && context.position !== undefined && /invalid position/i.test(message))
    return new Failure('POSITION_FOREIGN', { position: context.position }, error)
  if (exception === 'stream-deleted') return damaged(context.stream ?? '', 'it was deleted forever', error)
  const isOutage =
    exception === 'not-leader' ||
    unavailableCodes.has(code) ||
    unavailableMessages.some((text) => message.includes(text))
  return isOutage ? storeUnavailable(message || `${exception ?? code}`, error) : error
}
