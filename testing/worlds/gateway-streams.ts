import type { EventStore } from '../../infra/event-store/port.ts'

/** Returns the store, and counts its open subscriptions in `open`. */
export const countSubscriptions = (store: EventStore, open: { count: number }): EventStore => ({
  ...store,
  subscribe: async function* (options) {
    open.count++
    try {
      yield* store.subscribe(options)
    } finally {
      open.count--
    }
  },
})

export type ServerSentEvents = {
  /** Resolves to the `data` of the next event; undefined when the stream has completed. Throws when it was cut. */
  // biome-ignore lint/suspicious/noExplicitAny: a spec knows itself which answer it expects.
  next(): Promise<any>
  close(): void
}

/** Follows a subscription as server-sent events. */
export const openServerSentEvents = async (
  url: string,
  request: { readonly query: string; readonly variables?: object; readonly token?: string },
): Promise<ServerSentEvents> => {
  const leaving = new AbortController()
  const { query, variables = {}, token } = request
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      accept: 'text/event-stream',
      'content-type': 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal: leaving.signal,
  })
  if (!response.body) throw new Error('There is no body')
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    next: async () => {
      for (;;) {
        const end = text.indexOf('\n\n')
        if (end < 0) {
          const { done, value } = await reader.read()
          if (done) throw new Error('the stream was cut')
          text += value
          continue
        }
        const block = text.slice(0, end)
        text = text.slice(end + 2)
        if (block.startsWith('event: complete')) return undefined
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data) return JSON.parse(data)
      }
    },
    close: () => leaving.abort(),
  }
}
