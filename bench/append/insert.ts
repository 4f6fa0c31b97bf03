import type { NewEvent } from '../../infra/event-store/port.ts'
import { withPool, withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { appendForAWhile, type Load } from './callers.ts'

const columns = 'position, version, created_at, event_id, stream_id, type, data, metadata'
const columnsCount = 7

const insertOf = (events: number): string => {
  const rows = Array.from({ length: events }, (_, row) => {
    const [position, version, id, stream, type, data, metadata] = Array.from(
      { length: columnsCount },
      (_, column) => `$${row * columnsCount + column + 1}`,
    )
    return `(${position}, ${version}, now(), ${id}, ${stream}, ${type}, ${data}, ${metadata})`
  })
  return `insert into log.events (${columns}) values ${rows.join(', ')}`
}

/** Measures PostgreSQL when every caller inserts its rows by itself, on its own connection, with a prepared statement
 *  and a commit: no check of a revision, no order among the commits, no grouping of ours. */
export const contestant = async ({ url, parameters }: Task<Load>): Promise<Outcome> => {
  await withStore(url, async () => undefined)
  return withPool(url, parameters.callers, async (pool) => {
    const text = insertOf(parameters.eventsPerAppend)
    let position = 0
    const valuesOf = (stream: string, version: number, { id, type, data, metadata }: NewEvent) => {
      position += 1
      return [position, version, id, stream, type, JSON.stringify(data), JSON.stringify(metadata)]
    }
    const eventsPerSecond = await appendForAWhile(parameters, (stream, revision, events) =>
      pool.query({
        name: 'insert',
        text,
        values: events.flatMap((event, n) => valuesOf(stream, revision + 1 + n, event)),
      }),
    )
    return { eventsPerSecond }
  })
}
