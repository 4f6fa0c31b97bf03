import { GraphQLError } from 'graphql'
import { newId } from '../../commands/ids.ts'
import { type ErrorCode, errors, Failure } from '../../domain/errors.ts'
import type { Log } from '../../infra/telemetry.ts'
import { shortDetails, shortened } from '../shortened.ts'

/** Returns the error that was thrown first, without the errors that GraphQL wrapped around it. */
const rootCauseOf = (error: unknown): unknown =>
  error instanceof GraphQLError && error.originalError ? rootCauseOf(error.originalError) : error

/** Returns where in the request and in the answer an error happened. */
const locationOf = (error: unknown) =>
  error instanceof GraphQLError ? { nodes: error.nodes ?? null, path: error.path ?? null } : {}

/** Returns a failure as GraphQL answers with it: its code, hint and details are in the extensions. */
export const graphQLErrorOf = ({ code, details }: Failure, location: ReturnType<typeof locationOf> = {}) =>
  new GraphQLError(errors[code].message, {
    ...location,
    extensions: { code, hint: errors[code].hint, details: shortDetails(details) },
  })

/** Returns the error that a `Failure` caused as `graphQLErrorOf` does; returns any other error as it is. */
export const asGraphQLError = <Thrown>(error: Thrown): Thrown | GraphQLError => {
  const root = rootCauseOf(error)
  return root instanceof Failure ? graphQLErrorOf(root, locationOf(error)) : error
}

/** Returns an error with its message cut, where that repeats a long text of the client. */
export const shortError = (error: GraphQLError): GraphQLError => {
  const message = shortened(error.message)
  if (message === error.message) return error
  const { nodes, source, positions, path, extensions } = error
  return new GraphQLError(message, { nodes: nodes ?? null, source, positions, path, extensions })
}

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && code in errors

/** Returns an error of GraphQL itself with a code of the registry, and its hint. */
export const withHint = (error: GraphQLError): GraphQLError => {
  const { extensions, message } = error
  // GraphQL gives none to what is wrong with a variable.
  const { code = 'BAD_USER_INPUT', http } = extensions
  // Yoga has a text of its own for an operation that is not found, on HTTP alone.
  if (!isCode(code) || code === 'OPERATION_RESOLUTION_FAILURE') {
    const failure = isCode(code) ? new Failure(code) : new Failure('INPUT_INVALID', { request: message })
    const shown = graphQLErrorOf(failure, locationOf(error))
    return Object.assign(shown, { extensions: { ...shown.extensions, http } })
  }
  Object.assign(extensions, { code, hint: extensions.hint ?? errors[code].hint })
  return error
}

/** Creates the function that decides what a client sees of an error: a `Failure` with its code, an error of the request
 *  itself as it is, and of an unexpected error only a correlation id, under which the log has the whole error. */
export const createErrorMask =
  (log: Pick<Log, 'error'>) =>
  (error: unknown): GraphQLError => {
    const shown = asGraphQLError(error)
    if (shown instanceof GraphQLError && rootCauseOf(shown) instanceof GraphQLError) return withHint(shortError(shown))
    const correlationId = newId()
    log.error({ err: rootCauseOf(error), correlationId }, 'an unexpected error')
    return new GraphQLError(errors.INTERNAL.message, {
      ...locationOf(error),
      extensions: { code: 'INTERNAL', hint: errors.INTERNAL.hint, details: { correlationId } },
    })
  }
