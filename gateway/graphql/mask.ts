import { GraphQLError } from 'graphql'
import { newId } from '../../commands/ids.ts'
import { errors, Failure } from '../../domain/errors.ts'
import type { Log } from '../../infra/telemetry.ts'

/** What was thrown first, below all that GraphQL wrapped around it. */
const rootCauseOf = (error: unknown): unknown =>
  error instanceof GraphQLError && error.originalError ? rootCauseOf(error.originalError) : error

/** Where in the answer it happened. */
const locationOf = (error: unknown) =>
  error instanceof GraphQLError ? { nodes: error.nodes ?? null, path: error.path ?? null } : {}

/** A failure as GraphQL shows it: its code, hint and details in the extensions. Anything else as it is. */
export const asGraphQLError = (error: unknown): unknown => {
  const root = rootCauseOf(error)
  if (!(root instanceof Failure)) return error
  const { code, details } = root
  return new GraphQLError(errors[code].message, {
    ...locationOf(error),
    extensions: { code, hint: errors[code].hint, details },
  })
}

/** What leaves the house: failures with their code; errors of the request itself as they are; and of what nobody expected
 *  only an id, under which the log tells all. */
export const createErrorMask =
  (log: Pick<Log, 'error'>) =>
  (error: unknown): GraphQLError => {
    const shown = asGraphQLError(error)
    if (shown instanceof GraphQLError && rootCauseOf(shown) instanceof GraphQLError) return shown
    const correlationId = newId()
    log.error({ err: rootCauseOf(error), correlationId }, 'an unexpected error')
    return new GraphQLError(errors.INTERNAL.message, {
      ...locationOf(error),
      extensions: { code: 'INTERNAL', hint: errors.INTERNAL.hint, details: { correlationId } },
    })
  }
