import type { Client } from 'pg'
import { createBackoff } from '../async/backoff.ts'
import { unlessAborted } from '../async/signal.ts'
import type { Log } from '../telemetry.ts'
import { prepareSession } from './session.ts'

const pauseMsMin = 100
const pauseMsMax = 5_000

/** Holds a connection that listens on a channel, and makes it again whenever it breaks, until the signal aborts. Calls
 *  `onListening` each time the connection listens. Resolves when the last connection is closed. */
export const keepListening = async (options: {
  readonly createClient: () => Client
  readonly channel: string
  readonly onNotify: (payload: string) => void
  readonly onListening: () => void
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<void> => {
  const { createClient, channel, onNotify, onListening, log, signal } = options
  const backoff = createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
  while (!signal.aborted) {
    const client = createClient()
    const broken = new Promise<string>((resolve) => {
      client.once('end', () => resolve('the connection ended'))
      // More errors may follow the first one, and one without a listener would end the process.
      client.on('error', (error) => resolve(error.message))
    })
    client.on('notification', ({ payload }) => onNotify(payload ?? ''))
    try {
      await client.connect()
      await prepareSession(client)
      await client.query(`listen ${client.escapeIdentifier(channel)}`)
      backoff.reset()
      onListening()
      const reason = await unlessAborted(broken, signal)
      if (!signal.aborted) log.warn({ channel, reason }, 'no longer listening, connecting again')
    } catch (err) {
      if (!signal.aborted) log.warn({ channel, err }, 'cannot listen, trying again')
    }
    await client.end().catch(() => undefined)
    if (signal.aborted) return
    await backoff.pause(signal)
  }
}
