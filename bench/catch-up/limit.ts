import { withPool } from '../connect.ts'
import { copyOut } from '../copy.ts'
import type { Outcome, Task } from '../task.ts'

const select =
  'select position, version, created_at, event_id, stream_id, type, data, metadata from log.events order by position'

/** Measures COPY of the same rows in binary, in order, received by the same driver and discarded unread. */
export const contestant = ({ url, parameters }: Task<{ events: number }>): Promise<Outcome> =>
  withPool(url, 1, async (pool) => {
    const client = await pool.connect()
    try {
      const begun = performance.now()
      const { rows } = await copyOut(client, select)
      const tookMs = performance.now() - begun
      if (rows !== parameters.events) throw new Error(`${rows} rows came, not ${parameters.events}`)
      return { eventsPerSecond: (rows * 1000) / tookMs }
    } finally {
      client.release()
    }
  })
