/** Returns the `code` of an error of Node (`ENOENT`) or of the driver of PostgreSQL (`55P03`). Returns undefined for an
 *  error without one, for a code that is no text, and for any other value. */
export const errorCode = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined

type Kind = abstract new (...all: never[]) => Error

/** Returns the first error of a kind: the error itself, or one of its causes. */
export const causeOf = <Found extends Kind>(error: unknown, kind: Found): InstanceType<Found> | undefined => {
  for (let cause = error; cause instanceof Error; cause = (cause as Error).cause)
    if (cause instanceof kind) return cause as InstanceType<Found>
  return undefined
}
