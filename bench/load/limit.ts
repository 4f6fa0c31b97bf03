import { poolSize, withPool } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { type Loads, loadForAWhile } from './loads.ts'

const select = `select position::text, version::text, event_id::text, stream_id, type, data::text, metadata::text
  from log.events where stream_id = $1 order by version`

/** Reads the rows as the driver returns them, one prepared statement to a stream, without parsing JSON. */
export const contestant = ({ url, parameters }: Task<Loads>): Promise<Outcome> =>
  withPool(url, poolSize, async (pool) => ({
    loadsPerSecond: await loadForAWhile(parameters, async (stream) => {
      const { rows } = await pool.query({ name: 'load', text: select, values: [stream], rowMode: 'array' })
      return rows.length
    }),
  }))
