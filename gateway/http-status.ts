import type { ErrorCode } from '../domain/errors.ts'

/** What can end a request before it is executed. All else travels in an answer with status 200, as GraphQL over HTTP has it. */
const statuses: { readonly [Code in ErrorCode]?: number } = {
  INPUT_INVALID: 400,
  TOKEN_INVALID: 401,
  DATABASE_UNAVAILABLE: 503,
}

export const httpStatusOf = (code: ErrorCode): number => statuses[code] ?? 500
