import { createClient as createSocketClient } from 'graphql-ws'
import { Failure } from '../domain/errors.ts'
import { parseJson } from '../infra/system/json.ts'
import { AnswerError, type Detail } from './answer-error.ts'

export type Client = {
  /** Runs a query or a mutation. Throws AnswerError. */
  query<Data>(document: string, variables?: Record<string, unknown>): Promise<Data>
  /** Runs a mutation with one input and resolves to the success member of its payload. Throws AnswerError with the code
   *  of its Error member. */
  mutate<Success>(mutation: string, input: Record<string, unknown>, selection: string): Promise<Success>
  /** Yields the answers of a subscription until the caller leaves the loop. Throws AnswerError. */
  subscribe<Data>(document: string, variables?: Record<string, unknown>): AsyncIterableIterator<Data>
  /** Sends this token with each later request. */
  use(token: string): void
  close(): Promise<void>
}

type ErrorAnswer = {
  readonly message: string
  readonly extensions?: {
    readonly code?: string
    readonly hint?: string
    readonly details?: Readonly<Record<string, string>>
  }
}
type Answer = { readonly data?: unknown; readonly errors?: readonly ErrorAnswer[] }
type Payload = {
  readonly __typename: string
  readonly code?: string
  readonly message?: string
  readonly hint?: string
  readonly details?: readonly Detail[]
}

const requestMsMax = 20_000

/** Makes a client of the public GraphQL API at `<url>/graphql`, over HTTP and WebSocket. Throws INPUT_INVALID for a text
 *  that is no address. Its functions throw PLATFORM_UNREACHABLE, with the address and the reason, when no platform
 *  answers. */
export const createClient = (url: string): Client => {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new Failure('INPUT_INVALID', { url, takes: 'an http:// or https:// address' })
  let token: string | undefined
  const unreachable = (reason: string, cause?: unknown) => new Failure('PLATFORM_UNREACHABLE', { url, reason }, cause)
  const socket = createSocketClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: () => (token ? { authorization: `Bearer ${token}` } : {}),
  })

  const post = async (body: string): Promise<unknown> => {
    try {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body,
        signal: AbortSignal.timeout(requestMsMax),
      })
      const answer = parseJson(await response.text())
      return isAnswer(answer) ? answer : unreachable(`it answers ${response.status} and no GraphQL`)
    } catch (error) {
      return unreachable(reasonOf(error), error)
    }
  }

  const query: Client['query'] = async <Data>(document: string, variables: Record<string, unknown> = {}) => {
    const answer = await post(JSON.stringify({ query: document, variables }))
    if (answer instanceof Failure) throw answer
    return dataOf<Data>(answer as Answer)
  }

  return {
    query,
    mutate: async <Success>(mutation: string, input: Record<string, unknown>, selection: string) => {
      const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`
      const document = `mutation ($input: ${type}Input!) { answer: ${mutation}(input: $input) {
        __typename ... on Error { code message hint details { name value } } ... on ${type}Success { ${selection} } } }`
      const { answer } = await query<{ answer: Payload }>(document, { input })
      const { code, message = '', hint, details } = answer
      if (code === undefined) return answer as Success
      throw new AnswerError({ code, message, hint, details })
    },
    subscribe: async function* <Data>(document: string, variables: Record<string, unknown> = {}) {
      const answers = socket.iterate({ query: document, variables })
      try {
        for await (const answer of answers) yield dataOf<Data>(answer as Answer)
      } catch (error) {
        if (error instanceof AnswerError) throw error
        // The library throws the errors of a refused document as a list, and otherwise what the socket reported.
        if (Array.isArray(error)) dataOf({ errors: error as ErrorAnswer[] })
        throw unreachable(reasonOf(error), error)
      }
    },
    use: (next) => {
      token = next
    },
    close: async () => socket.dispose(),
  }
}

const isAnswer = (value: unknown): value is Answer =>
  typeof value === 'object' && value !== null && ('data' in value || 'errors' in value)

/** Returns why nothing answered, in one line: the innermost cause knows it. */
const reasonOf = (error: unknown): string => {
  const { name, cause, message, code, reason } = (error ?? {}) as Readonly<Record<string, unknown>>
  if (name === 'TimeoutError') return `no answer after ${requestMsMax / 1000} s`
  if (cause) return reasonOf(cause)
  // An error of Node has a message or a code, the end of a socket has a code and a reason.
  return [message || code, reason].filter(Boolean).join(' ') || 'the connection broke'
}

const dataOf = <Data>({ data, errors }: Answer): Data => {
  const [error] = errors ?? []
  if (!error) return data as Data
  const { code = 'INTERNAL', hint, details = {} } = error.extensions ?? {}
  throw new AnswerError({
    code,
    message: error.message,
    hint,
    details: Object.entries(details).map(([name, value]) => ({ name, value })),
  })
}
