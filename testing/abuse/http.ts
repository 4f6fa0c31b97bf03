import { Agent, request as startRequest } from 'node:http'
import { parseJson } from '../../infra/system/json.ts'

/** An answer as it came. `value` is its body as JSON; undefined for any other. */
export type HttpAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  readonly value: unknown
}

export type HttpRequest = {
  readonly url: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The address of this machine that it comes from, such as 127.0.0.2. */
  readonly from: string
}

const answerMsMax = 90_000
const agent = new Agent({ keepAlive: true, maxSockets: 250 })

/** Sends a request from an address of this machine. Throws when the connection breaks, and after 90 seconds. */
export const send = ({ url, method = 'GET', headers = {}, body, from }: HttpRequest): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const started = startRequest(url, {
      method,
      agent,
      localAddress: from,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }) },
      signal: AbortSignal.timeout(answerMsMax),
    })
    started.once('error', reject)
    started.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, value: parseJson(text) })
      })
    })
    started.end(body)
  })

/** Ends the connections that are kept for the next request. */
export const closeConnections = (): void => agent.destroy()
