// How long a node may make us wait: each request ends in a time that we name, whatever the node does.
import { TimeoutError, type Transport } from 'viem'
import { within } from '../../async/within.ts'

/** The first pause between two tries, and half of each next one. */
const retryMs = 150
const spareMs = 500

/** Fetches, and leaves out of the answer for how long the node wants us to wait: viem would, however long that is. */
export const fetchWithoutPause: typeof fetch = async (...request) => {
  const answer = await fetch(...request)
  const headers = new Headers(answer.headers)
  headers.delete('retry-after')
  return Object.defineProperty(answer, 'headers', { value: headers })
}

type Asked = { readonly method: string; readonly params?: readonly unknown[] }

/** Makes a transport whose requests end: with the last try, and with a TimeoutError where a node lets a connection wait
 *  to be opened.
 *  @param host of the node, for the error. */
export const endingTransport = <Inner extends Transport>(
  inner: Inner,
  host: string,
  { retryCount, timeout }: { readonly retryCount: number; readonly timeout: number },
): Inner =>
  ((...options: Parameters<Inner>) => {
    const made = inner(...(options as Parameters<Transport>))
    const msMax = (retryCount + 1) * timeout + retryMs * 2 ** retryCount + spareMs
    const request = made.request as (asked: Asked, ...rest: unknown[]) => Promise<unknown>
    const ending = (asked: Asked, ...rest: unknown[]): Promise<unknown> =>
      within(request(asked, ...rest), msMax, () => {
        throw new TimeoutError({ body: { method: asked.method }, url: host })
      })
    return { ...made, request: ending }
  }) as unknown as Inner
