import { Failure, isFailure } from '../../domain/errors.ts'
import type { Log } from '../telemetry.ts'
import { connectEventStoreDb } from './eventstoredb/client.ts'
import { readIdentity } from './eventstoredb/identity.ts'
import { createKnownIds } from './eventstoredb/known-ids.ts'
import { logPositionsOf } from './eventstoredb/position.ts'
import { createReader } from './eventstoredb/reader.ts'
import { createTail } from './eventstoredb/subscription.ts'
import { createWriter } from './eventstoredb/writer.ts'
import type { Capabilities, EventStore } from './port.ts'
import { logRetries } from './retry-log.ts'
import { checkAppends } from './validation.ts'

const openMsDefault = 30_000

export const eventStoreDbCapabilities: Capabilities = {
  appendToMany: false,
  idsKnownWithin: 'stream',
  durable: true,
  sizesSetBy: 'server',
  distanceIn: 'bytes',
}

/** Opens the event store on a server of EventStoreDB (23.10 or later) or KurrentDB. Its streams are the server's
 *  streams; it never returns events of other clients on the same server. An append costs two round trips: it is read
 *  back, because the server returns the same result for a repetition as for the first time.
 *  @param url esdb:// or kurrentdb://, as for the server's own clients; a cluster by its nodes or +discover.
 *  @param openMs how long to wait for the server.
 *  @param create `false` writes nothing, for read-only callers: a server without our log is then LOG_NOT_FOUND.
 *  Throws DATABASE_UNAVAILABLE when the server does not answer in time, CONFIG_INVALID when it denies access or is
 *  too old. */
export const openEventStoreDb = async ({
  url,
  log,
  create = true,
  openMs = openMsDefault,
}: {
  readonly url: string
  readonly log?: Log
  readonly create?: boolean
  readonly openMs?: number
}): Promise<EventStore> => {
  const connection = connect(url)
  try {
    const deadline = performance.now() + openMs
    const storeId = await identityWithin(() => readIdentity(connection, create), deadline, log)
    const positions = logPositionsOf(`esdb-${storeId}`)
    const knownIds = createKnownIds()
    const reader = createReader({ connection, positions, knownIds })
    const writer = createWriter({ connection, reader, positions, knownIds })
    const tail = createTail({ connection, reader, positions, onRetry: logRetries(log) })
    return {
      name: 'eventstoredb',
      capabilities: eventStoreDbCapabilities,
      append: async (append) => {
        const [checked] = checkAppends([append])
        if (!checked) throw new Error('checkAppends returned no append for one.')
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
  for (let warned = false; ; warned = true) {
    try {
      return await read()
    } catch (error) {
      if (!isFailure(error, 'DATABASE_UNAVAILABLE') || performance.now() > until) throw error
      if (!warned) log?.warn({ err: error }, 'the event store does not answer yet')
    }
  }
}
