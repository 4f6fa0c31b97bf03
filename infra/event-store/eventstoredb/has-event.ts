import { isFailure } from '../../../domain/errors.ts'
import type { Connection } from './client.ts'
import type { ServerEvent } from './events.ts'
import { serverFilter } from './filter.ts'
import type { LogPosition } from './position.ts'

/** Resolves to whether the log on a server has an event, at its position. Its stream tells, and only where an operator
 *  has cut that, the position: in another log the position may lie within an event, for which version 23.10 has no
 *  answer but that of an outage. */
export const hasEvent = async (
  { readStream, readAll }: Pick<Connection, 'readStream' | 'readAll'>,
  { id, stream, revision }: Pick<ServerEvent, 'id' | 'stream' | 'revision'>,
  position: LogPosition,
  options?: Parameters<Connection['readStream']>[4],
): Promise<boolean> => {
  const isIt = (event: ServerEvent) =>
    event.id === id && event.position?.commit === position.commit && event.position.prepare === position.prepare
  const lastOf = async (name: string) => (await readStream(name, 'backwards', 'end', 1, options)).events[0]
  try {
    const [there] = (await readStream(stream, 'forwards', revision, 1, options)).events
    if (there?.revision === revision) return isIt(there)
    const last = await lastOf(stream)
    // What an operator cuts goes from the beginning, and leaves metadata of the stream.
    if (last ? last.revision < revision : !(await lastOf(`$$${stream}`))) return false
  } catch (error) {
    if (!isFailure(error, 'STREAM_DAMAGED')) throw error
  }
  try {
    return (await readAll('forwards', position, 1, serverFilter({}), options)).events.some(isIt)
  } catch (error) {
    if (!isFailure(error, 'POSITION_FOREIGN')) throw error
    return false
  }
}
