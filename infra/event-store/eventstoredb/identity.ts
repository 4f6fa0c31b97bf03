import { randomUUID } from 'node:crypto'
import { Failure } from '../../../domain/errors.ts'
import type { Connection } from './client.ts'
import { identityStream } from './events.ts'

const identified = 'EventStoreIdentified'

/** Resolves to the id of the log on this server: an event in its own stream, which the first process to connect
 *  writes. Of two processes at the same time one writes it, and the other reads it. Throws CONFIG_INVALID for a
 *  server that is too old to return positions, and LOG_NOT_FOUND when there is no id and `create` is false. */
export const readIdentity = async (connection: Connection, create: boolean): Promise<string> => {
  for (;;) {
    const [first] = (await connection.readStream(identityStream, 'forwards', 'start', 1)).events
    if (first) {
      const { storeId } = (first.data ?? {}) as { readonly storeId?: unknown }
      if (first.type !== identified || typeof storeId !== 'string')
        throw new Failure('CONFIG_INVALID', {
          variable: 'EVENTSTORE_URL',
          why: `the stream ${identityStream} of this server belongs to another program`,
        })
      if (first.position === undefined)
        throw new Failure('CONFIG_INVALID', {
          variable: 'EVENTSTORE_URL',
          why: 'the server is too old: EventStoreDB 23.10 or later, or KurrentDB',
        })
      return storeId
    }
    if (!create) throw new Failure('LOG_NOT_FOUND', { database: 'the event store of EVENTSTORE_URL' })
    const storeId = randomUUID().slice(0, 8)
    await connection.append(identityStream, 'no stream', [
      { serverId: randomUUID(), type: identified, data: JSON.stringify({ storeId }), metadata: '{}' },
    ])
  }
}
