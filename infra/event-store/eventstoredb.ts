import { Failure } from '../../domain/errors.ts'
import type { Log } from '../telemetry.ts'
import { connectEventStoreDb } from './eventstoredb/client.ts'
import { readIdentity } from './eventstoredb/identity.ts'
import { createKnownIds } from './eventstoredb/known-ids.ts'
import { logPositionsOf } from './eventstoredb/position.ts'
import { createReader } from './eventstoredb/reader.ts'
import { createTail } from './eventstoredb/subscription.ts'
import { createWriter } from './eventstoredb/writer.ts'
import type { Capabilities, EventStore } from './port.ts'
import { checkAppends, isUnavailable } from './validation.ts'

const openMsDefault = 30_000

export const eventStoreDbCapabilities: Capabilities = {
  appendToMany: false,
  idsKnownWithin: 'stream',
  durable: true,
  sizesSetBy: 'server',
}

/** The event store on a server of EventStoreDB (23.10 or later) or KurrentDB. Its streams are the server's streams; what others
 *  keep on the same server stays unseen. An append costs two round trips: it is read back, because the server answers a
 *  repetition as it answered the first time.
 *  @param url esdb:// or kurrentdb://, as the server's own clients take it; a cluster by its nodes or +discover.
 *  @param openMs how long to wait for the server.
 *  @param make `false` writes nothing, for who only reads: a server without a log of ours is then LOG_NOT_FOUND.
 *  Throws DATABASE_UNAVAILABLE when it does not answer in time, CONFIG_INVALID when it does not let us in or is too old. */
export const openEventStoreDb = async ({
  url,
  log,
  make = true,
  openMs = openMsDefault,
}: {
  readonly url: string
  readonly log?: Log
  readonly make?: boolean
  readonly openMs?: number
}): Promise<EventStore> => {
  const connection = connect(url)
  try {
    const until = performance.now() + openMs
    const storeId = await identityWithin(() => readIdentity(connection, make), until, log)
    const positions = logPositionsOf(`esdb-${storeId}`)
    const known = createKnownIds()
    const reader = createReader({ connection, positions, known })
    const writer = createWriter({ connection, reader, positions, known })
    const tail = createTail({ connection, reader, positions })
    return {
      name: 'eventstoredb',
      capabilities: eventStoreDbCapabilities,
      append: async (append) => {
        const [checked] = checkAppends([append])
        if (!checked) throw new Error('One append was checked.')
        return writer.append(checked)
      },
      appendToMany: async ([first]) => {
        throw new Failure('EVENT_INVALID', {
          stream: first?.stream ?? '',
          reason: 'this event store appends to one stream at a time',
        })
      },
      readStream: reader.readStream,
      readAll: reader.readAll,
      subscribe: tail.subscribe,
      head: async () => {
        const last = await reader.head()
        return last ? positions.of(last) : positions.start
      },
      start: positions.start,
      parsePosition: (text) => positions.of(positions.partsOf(text)),
      distance: positions.distance,
      close: async () => {
        tail.close()
        await writer.close()
        await connection.close()
      },
    }
  } catch (error) {
    await connection.close()
    throw error
  }
}

const connect = (url: string) => {
  try {
    return connectEventStoreDb(url)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Failure('CONFIG_INVALID', { variable: 'EVENTSTORE_URL', why }, error)
  }
}

const identityWithin = async (read: () => Promise<string>, until: number, log?: Log): Promise<string> => {
  for (let said = false; ; said = true) {
    try {
      return await read()
    } catch (error) {
      if (!isUnavailable(error) || performance.now() > until) throw error
      if (!said) log?.warn({ err: error }, 'the event store does not answer yet')
    }
  }
}
