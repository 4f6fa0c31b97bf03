import type { ErrorCode } from '../domain/errors.ts'

/** The codes that can end a request before it is executed. All others travel in an answer with status 200, as GraphQL over
 *  HTTP wants it. */
const statuses: { readonly [Code in ErrorCode]?: number } = {
  TOKEN_INVALID: 401,
}

export const statusOf = (code: ErrorCode): number | undefined => statuses[code]
