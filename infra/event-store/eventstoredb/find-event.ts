import { isFailure } from '../../../domain/errors.ts'
import type { Connection } from './client.ts'
import type { ServerEvent } from './events.ts'
import type { LogPosition } from './position.ts'

/** `cut`: an operator has cut its stream to behind it, so nothing shows whether it was there. */
export type Presence = 'there' | 'not there' | 'cut'

/** Resolves to whether the log on a server has an event, at its position. Its stream shows it: in another log the position
 *  may lie within an event, for which version 23.10 has no answer but that of an outage, and where an operator has cut
 *  the stream, a scavenge may have removed the event. */
export const findEvent = async (
  { readStream }: Pick<Connection, 'readStream'>,
  { id, stream, revision }: Pick<ServerEvent, 'id' | 'stream' | 'revision'>,
  position: LogPosition,
  options?: Parameters<Connection['readStream']>[4],
): Promise<Presence> => {
  const isIt = (event: ServerEvent) =>
    event.id === id && event.position?.commit === position.commit && event.position.prepare === position.prepare
  const lastOf = (name: string) => readStream(name, 'backwards', 'end', 1, options)
  try {
    const [there] = (await readStream(stream, 'forwards', revision, 1, options)).events
    if (there?.revision === revision) return isIt(there) ? 'there' : 'not there'
    const { events, isNoStream } = await lastOf(stream)
    const [last] = events
    if (last) return last.revision < revision ? 'not there' : 'cut'
    if (!isNoStream) return 'cut'
    const [described] = (await lastOf(`$$${stream}`)).events
    return revision < firstLeftBy(described?.data) ? 'cut' : 'not there'
  } catch (error) {
    // It was deleted forever.
    if (isFailure(error, 'STREAM_DAMAGED')) return 'cut'
    throw error
  }
}

/** Returns from which revision on a stream with this metadata is read: from its first one unless it was truncated or
 *  deleted. */
export const firstLeftBy = (metadata: unknown): bigint => {
  const first = typeof metadata === 'object' && metadata !== null && '$tb' in metadata ? metadata.$tb : 0
  return typeof first === 'number' && first > 0 ? BigInt(Math.trunc(first)) : 0n
}
