import type { ErrorCode } from '../domain/errors.ts'

/** The HTTP status of each code that can end a request before it is executed. All other codes travel in an answer with
 *  status 200, as GraphQL over HTTP defines it. */
const statuses: { readonly [Code in ErrorCode]?: number } = {
  INPUT_INVALID: 400,
  TOKEN_INVALID: 401,
  ROUTE_UNKNOWN: 404,
  LENGTH_REQUIRED: 411,
  TOO_MANY_REQUESTS: 429,
  ANSWER_TIMED_OUT: 503,
  DATABASE_UNAVAILABLE: 503,
  LOG_REPLACED: 503,
}

/** Returns the HTTP status for a code; 500 for any other. */
export const httpStatusOf = (code: ErrorCode): number => statuses[code] ?? 500
