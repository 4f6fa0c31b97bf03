import { randomUUID } from 'node:crypto'
import { Failure } from '../../../domain/errors.ts'
import type { Connection } from './client.ts'
import { identityStream, type ServerEvent } from './events.ts'
import type { LogPosition } from './position.ts'

const identified = 'EventStoreIdentified'

export type Identity = { readonly storeId: string; readonly event: ServerEvent & { readonly position: LogPosition } }

/** Resolves to the id of the log on this server, and its event: one in its own stream, which the first process to connect
 *  writes. Of two processes at the same time one writes it, and the other reads it. Throws CONFIG_INVALID for a
 *  server that is too old to return positions, and LOG_NOT_FOUND when there is no id and `create` is false. */
export const readIdentity = async (connection: Connection, create: boolean): Promise<Identity> => {
  for (;;) {
    const [first] = (await connection.readStream(identityStream, 'forwards', 'start', 1)).events
    if (first) {
      const { storeId } = (first.data ?? {}) as { readonly storeId?: unknown }
      if (first.type !== identified || typeof storeId !== 'string')
        throw new Failure('CONFIG_INVALID', {
          variable: 'EVENTSTORE_URL',
          why: `the stream ${identityStream} of this server belongs to another program`,
        })
      const { position } = first
      if (position === undefined)
        throw new Failure('CONFIG_INVALID', {
          variable: 'EVENTSTORE_URL',
          why: 'the server is too old: EventStoreDB 23.10 or later, or KurrentDB',
        })
      return { storeId, event: { ...first, position } }
    }
    if (!create) throw new Failure('LOG_NOT_FOUND', { database: 'the event store of EVENTSTORE_URL' })
    const storeId = randomUUID().slice(0, 8)
    await connection.append(identityStream, 'no stream', [
      { id: randomUUID(), type: identified, data: { storeId }, metadata: {} },
    ])
  }
}
