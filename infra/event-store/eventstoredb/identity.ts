import { randomUUID } from 'node:crypto'
import { Failure } from '../../../domain/errors.ts'
import type { Epoch } from '../position.ts'
import { identityStream } from '../position.ts'
import type { Connection } from './client.ts'
import type { ServerEvent } from './events.ts'
import type { LogPosition } from './position.ts'

const identified = 'EventStoreIdentified'
const epochBegan = 'EpochBegan'
/** More adoptions than any log will see. */
const eventsMax = 1_000

export type Identity = {
  readonly storeId: string
  /** In the order in which they began. */
  readonly epochs: readonly Epoch[]
  /** The first event of the log. */
  readonly event: ServerEvent & { readonly position: LogPosition }
  /** The revision of the last event that describes the log. */
  readonly revision: bigint
}

/** Resolves to the id of the log on this server, and its event: one in its own stream, which the first process to connect
 *  writes. Of two processes at the same time one writes it, and the other reads it. Throws CONFIG_INVALID for a
 *  server that is too old to return positions, and LOG_NOT_FOUND when there is no id and `create` is false. */
export const readIdentity = async (connection: Connection, create: boolean): Promise<Identity> => {
  for (;;) {
    const { events } = await connection.readStream(identityStream, 'forwards', 'start', eventsMax)
    const [first] = events
    if (first) {
      const storeId = storeIdOf(first)
      if (storeId === undefined)
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
      const epochs = events.filter(({ type }) => type === epochBegan).map(({ data }) => epochOf(data))
      return { storeId, epochs, event: { ...first, position }, revision: events.at(-1)?.revision ?? 0n }
    }
    if (!create) throw new Failure('LOG_NOT_FOUND', { database: 'the event store of EVENTSTORE_URL' })
    const storeId = randomUUID().slice(0, 8)
    await connection.append(identityStream, 'no stream', [
      { serverId: randomUUID(), type: identified, data: JSON.stringify({ storeId }), metadata: '{}' },
    ])
  }
}

/** Returns the id of the log that the first event of its stream holds; undefined when that belongs to another program. */
export const storeIdOf = ({ type, data }: Pick<ServerEvent, 'type' | 'data'>): string | undefined => {
  const { storeId } = (data ?? {}) as { readonly storeId?: unknown }
  return type === identified && typeof storeId === 'string' ? storeId : undefined
}

const epochOf = (data: unknown): Epoch => {
  const { name, after } = data as { readonly name: string; readonly after: string }
  return { name, after: BigInt(after) }
}

/** Begins an epoch after the last event of the log, which is at this position. Throws CONFLICT_UNRESOLVED when another
 *  process has begun one at the same time. */
export const appendEpoch = async (
  connection: Connection,
  { name, after }: Epoch,
  { revision }: Pick<Identity, 'revision'>,
): Promise<void> => {
  const data = JSON.stringify({ name, after: String(after) })
  const event = { serverId: randomUUID(), type: epochBegan, data, metadata: '{}' }
  const { outcome } = await connection.append(identityStream, revision, [event])
  if (outcome === 'conflict') throw new Failure('CONFLICT_UNRESOLVED', { stream: identityStream })
}
