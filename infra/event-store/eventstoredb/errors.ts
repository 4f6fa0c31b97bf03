import { Failure } from '../../../domain/errors.ts'

/** Of https://grpc.github.io/grpc/core/md_doc_statuscodes.html, those that say something about an append or a read here. */
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
  unauthenticated: 16,
} as const

/** The call did not come through, or its answer did not: what was asked may have happened. */
const unavailableCodes: ReadonlySet<unknown> = new Set([
  grpc.cancelled,
  grpc.deadlineExceeded,
  grpc.aborted,
  grpc.internal,
  grpc.unavailable,
])

/** These come without a code, or with one that says nothing. */
const unavailableMessages = [
  'Failed to discover after',
  'No leader info available',
  'Exception was thrown by handler',
  'Channel has been shut down',
  'Channel has been closed',
  'Stream removed',
]

/** What the client throws: `type` is its own name for it, `_raw` is what came over the wire. */
type ClientError = Error & {
  readonly type?: string
  readonly code?: unknown
  readonly metadata?: { get(key: string): readonly unknown[] }
  readonly _raw?: ClientError
}

/** The name that the server gives its exceptions, in the trailer `exception`; the client does not know all of them. */
const exceptionOf = (error: ClientError): string | undefined => {
  const [named] = error.metadata?.get('exception') ?? error._raw?.metadata?.get('exception') ?? []
  return named === undefined ? error.type : String(named)
}

/** True when the server that was asked is not the leader: nothing was done, and the client has turned to the leader. */
export const isNotLeader = (error: unknown): boolean =>
  error instanceof Error && exceptionOf(error as ClientError) === 'not-leader'

export const isStreamNotFound = (error: unknown): boolean =>
  error instanceof Error && exceptionOf(error as ClientError) === 'stream-not-found'

/** Says that the server is away, and that it is this one and not the database. */
export const storeUnavailable = (reason: string, cause?: unknown): Failure =>
  new Failure('DATABASE_UNAVAILABLE', { database: 'the event store of EVENTSTORE_URL', reason }, cause)

/** The failure for the caller: DATABASE_UNAVAILABLE when the outcome is unknown, EVENT_INVALID for what is too large for the
 *  server, CONFIG_INVALID when it denies access, POSITION_FOREIGN for a position that its log does not have; all else as it is. */
export const toStoreFailure = (
  error: unknown,
  about: { readonly stream?: string; readonly position?: string } = {},
) => {
  if (error instanceof Failure || !(error instanceof Error)) return error
  const known: ClientError = error
  const exception = exceptionOf(known)
  const code = known.code ?? known._raw?.code
  const { message } = known
  if (exception?.startsWith('maximum-append') || code === grpc.resourceExhausted)
    return new Failure(
      'EVENT_INVALID',
      { stream: about.stream ?? '', reason: `too large for the server: ${message}` },
      error,
    )
  if (exception === 'access-denied' || code === grpc.permissionDenied || code === grpc.unauthenticated)
    return new Failure('CONFIG_INVALID', { variable: 'EVENTSTORE_URL', why: 'the server denies access' }, error)
  if (code === grpc.invalidArgument && about.position !== undefined && /invalid position/i.test(message))
    return new Failure('POSITION_FOREIGN', { position: about.position }, error)
  const away =
    exception === 'not-leader' ||
    unavailableCodes.has(code) ||
    unavailableMessages.some((text) => message.includes(text))
  return away ? storeUnavailable(message || `${exception ?? code}`, error) : error
}
