import { randomUUID } from 'node:crypto'
import { Failure } from '../../../domain/errors.ts'
import type { Connection } from './client.ts'
import { identityStream } from './events.ts'

const identified = 'EventStoreIdentified'

/** The id of the log that this server holds: a fact in a stream of its own, written by whoever is first. Of two at once one
 *  is, and the other reads what that one wrote. Throws CONFIG_INVALID for a server too old to give positions, and LOG_NOT_FOUND
 *  when there is none and it shall not be made. */
export const readIdentity = async (connection: Connection, make: boolean): Promise<string> => {
  for (;;) {
    const [first] = await connection.readStream(identityStream, 'forwards', 'start', 1)
    if (first) {
      const { storeId } = (first.data ?? {}) as { readonly storeId?: unknown }
      if (first.type !== identified || typeof storeId !== 'string')
        throw new Failure('CONFIG_INVALID', {
          variable: 'EVENTSTORE_URL',
          why: `the stream ${identityStream} of this server is someone else's`,
        })
      if (first.position === undefined)
        throw new Failure('CONFIG_INVALID', {
          variable: 'EVENTSTORE_URL',
          why: 'the server is too old: EventStoreDB 23.10 or later, or KurrentDB',
        })
      return storeId
    }
    if (!make) throw new Failure('LOG_NOT_FOUND', { database: 'the event store of EVENTSTORE_URL' })
    const storeId = randomUUID().slice(0, 8)
    await connection.append(identityStream, 'no stream', [
      { id: randomUUID(), type: identified, data: { storeId }, metadata: {} },
    ])
  }
}
