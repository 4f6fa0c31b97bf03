import { Failure } from '../../../domain/errors.ts'
import { createKnownLog, type KnownEvent, type KnownLog } from '../known-log.ts'
import { identityStream, partsOfPosition, storePrefixes } from '../position.ts'
import type { Connection } from './client.ts'
import { openOutcome } from './errors.ts'
import { isOurs, type ServerEvent } from './events.ts'
import { findEvent } from './find-event.ts'
import { storeIdOf } from './identity.ts'
import { throughOutage } from './outage.ts'
import { type LogPositions, partsOfAny } from './position.ts'
import type { ServerSubscription } from './server-subscription.ts'

/** How often a look is repeated because the connection changed meanwhile. */
const looksMax = 3
/** Those who look try again themselves. A look that waited would hold up appends after an outage. */
const once = { retry: false }

/** Creates what this process knows of the log on a server, and the check whether a server has an event. */
export const createKnownOnServer = ({
  connection,
  ...options
}: {
  readonly connection: Connection
  readonly onReplaced?: ((failure: Failure) => void) | undefined
  readonly pauseMs?: number | undefined
}): { readonly log: KnownLog; readonly has: (event: KnownEvent) => Promise<boolean> } => {
  const isOfThisLog = async (position: string): Promise<boolean> => {
    const [identity] = (await connection.readStream(identityStream, 'forwards', 'start', 1, once)).events
    const storeId = identity && storeIdOf(identity)
    return storeId !== undefined && partsOfPosition(position, 2)?.store === `${storePrefixes.eventStoreDb}${storeId}`
  }

  /** Resolves to whether an event is in the log. Where an operator has cut its stream, the id of the log decides. */
  const isThere = async (event: KnownEvent | undefined): Promise<boolean> => {
    if (!event) return true
    const at = partsOfAny(event.position)
    if (!at) return false
    const presence = await findEvent(connection, event, at, once)
    return presence === 'cut' ? isOfThisLog(event.position) : presence === 'there'
  }
  return { log: createKnownLog({ isThere, ...options }), has: isThere }
}

/** Returns the connection to the log that is known. A log can only be put back or replaced while its server is away, or
 *  at another server: so each new connection is looked at before an append goes through it, and before an answer that
 *  came through it is taken. Throws LOG_REPLACED instead. */
export const guardConnection = (
  connection: Connection,
  known: KnownLog,
  positions: Pick<LogPositions, 'of'>,
): Connection => {
  let looked: number | undefined

  const lookWhenNew = async (): Promise<void> => {
    known.assertSame()
    for (let looks = 0; looks < looksMax; looks += 1) {
      const link = connection.link()
      if (link !== undefined && link === looked) return
      await known.look()
      if (link !== undefined && link === connection.link()) looked = link
    }
  }

  const lookThroughOutage = () => throughOutage(known.closed, lookWhenNew)

  const taken = async <Page extends { readonly events: readonly ServerEvent[] }>(reading: Promise<Page>) => {
    const page = await reading
    await lookThroughOutage()
    for (const event of [page.events[0], page.events.at(-1)])
      if (event && isOurs(event)) known.add({ ...event, position: positions.of(event.position) })
    return page
  }

  return {
    ...connection,
    append: async (...append) => {
      await lookWhenNew().catch((error: unknown) => {
        // What a look meets that has no name here decides nothing about the append: it is tried again.
        throw error instanceof Failure ? error : openOutcome(error)
      })
      // The look may have taken longer than the caller waits: the connection sends nothing then.
      const outcome = await connection.append(...append)
      await lookWhenNew().catch((error: unknown) => Promise.reject(openOutcome(error)))
      return outcome
    },
    readStream: (...read) => taken(connection.readStream(...read)),
    readAll: (...read) => taken(connection.readAll(...read)),
    subscribe: (...options): ServerSubscription => {
      const subscription = connection.subscribe(...options)
      return {
        ...subscription,
        next: async (nextOptions) => {
          const item = await subscription.next(nextOptions)
          if (item) await lookThroughOutage()
          return item
        },
      }
    },
  }
}
