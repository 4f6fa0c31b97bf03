import { createClient as createSocketClient } from 'graphql-ws'

/** An error that the gateway returned instead of data, or the Error member of a mutation's payload. */
export class AnswerError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.name = 'AnswerError'
    this.code = code
  }
}

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

type ErrorAnswer = { readonly message: string; readonly extensions?: { readonly code?: string } }
type Answer = { readonly data?: unknown; readonly errors?: readonly ErrorAnswer[] }
type Payload = {
  readonly __typename: string
  readonly code?: string
  readonly message?: string
  readonly details?: readonly { name: string; value: string }[]
}

const requestMsMax = 20_000

/** Makes a client of the public GraphQL API at `<url>/graphql`, over HTTP and WebSocket. */
export const createClient = (url: string): Client => {
  let token: string | undefined
  const socket = createSocketClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: () => (token ? { authorization: `Bearer ${token}` } : {}),
  })

  const query: Client['query'] = async <Data>(document: string, variables: Record<string, unknown> = {}) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query: document, variables }),
      signal: AbortSignal.timeout(requestMsMax),
    })
    return dataOf<Data>((await response.json()) as Answer)
  }

  return {
    query,
    mutate: async <Success>(mutation: string, input: Record<string, unknown>, selection: string) => {
      const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`
      const document = `mutation ($input: ${type}Input!) { answer: ${mutation}(input: $input) {
        __typename ... on Error { code message details { name value } } ... on ${type}Success { ${selection} } } }`
      const { answer } = await query<{ answer: Payload }>(document, { input })
      if (answer.code === undefined) return answer as Success
      const details = (answer.details ?? []).map(({ name, value }) => `${name}: ${value}`).join(', ')
      throw new AnswerError(answer.code, details ? `${answer.message} (${details})` : (answer.message ?? ''))
    },
    subscribe: async function* <Data>(document: string, variables: Record<string, unknown> = {}) {
      for await (const answer of socket.iterate({ query: document, variables })) yield dataOf<Data>(answer as Answer)
    },
    use: (next) => {
      token = next
    },
    close: async () => socket.dispose(),
  }
}

const dataOf = <Data>({ data, errors }: Answer): Data => {
  const [error] = errors ?? []
  if (error) throw new AnswerError(error.extensions?.code ?? 'INTERNAL', error.message)
  return data as Data
}
