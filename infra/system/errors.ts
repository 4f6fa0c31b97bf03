/** Returns the `code` of an error of Node (`ENOENT`) or of the driver of PostgreSQL (`55P03`). Returns undefined for an
 *  error without one, for a code that is no text, and for any other value. */
export const errorCode = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
