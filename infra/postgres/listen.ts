import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'
import type { Log } from '../telemetry.ts'

const pauseMsMin = 100
const pauseMsMax = 5_000

/** Holds a connection that listens, and makes it again whenever it breaks, until the signal aborts. `onListening` is called
 *  each time when it listens. Resolves when closed. */
export const keepListening = async (options: {
  readonly createClient: () => Client
  readonly channel: string
  readonly onNotify: (payload: string) => void
  readonly onListening: () => void
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<void> => {
  const { createClient, channel, onNotify, onListening, log, signal } = options
  let pauseMs = pauseMsMin
  while (!signal.aborted) {
    const client = createClient()
    const broken = new Promise<string>((resolve) => {
      client.once('end', () => resolve('the connection ended'))
      // More errors may follow the first one, and one without a listener would end the process.
      client.on('error', (error) => resolve(error.message))
    })
    const aborted = new Promise<string>((resolve) => {
      if (signal.aborted) resolve('closing')
      signal.addEventListener('abort', () => resolve('closing'), { once: true })
    })
    client.on('notification', ({ payload }) => onNotify(payload ?? ''))
    try {
      await client.connect()
      await client.query(`listen ${client.escapeIdentifier(channel)}`)
      pauseMs = pauseMsMin
      onListening()
      const reason = await Promise.race([broken, aborted])
      if (!signal.aborted) log.warn({ channel, reason }, 'no longer listening, connecting again')
    } catch (err) {
      if (!signal.aborted) log.warn({ channel, err }, 'cannot listen, trying again')
    }
    await client.end().catch(() => undefined)
    if (signal.aborted) return
    await delay(pauseMs, undefined, { signal }).catch(() => undefined)
    pauseMs = Math.min(pauseMs * 2, pauseMsMax)
  }
}
