import type { PoolClient } from 'pg'
import { createSignal } from '../../infra/async/signal.ts'
import { poolSize, withPool, withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { appendSteadily, createReceiver, numbered, rentalOf, type Stream } from './messages.ts'

type Parameters = Stream & { readonly part: 'append' | 'follow' }

const insert = `with event as (
    insert into log.events (position, version, created_at, event_id, stream_id, type, data, metadata)
    values ($1, $1, now(), $2, $3, $4, $5, $6) returning 1)
  select pg_notify('bench', '') from event`
const readMax = 500
const select = `select position::text, data::text from log.events where position > $1 order by position limit ${readMax}`

const appendAll = (stream: Stream, query: (values: readonly unknown[]) => Promise<unknown>): Promise<number[]> =>
  appendSteadily(stream, (n) => {
    const { id, type, data, metadata } = numbered(n)
    const name = `rental-t${stream.round}-${rentalOf(n)}`
    return query([n + 1, id, name, type, JSON.stringify(data), JSON.stringify(metadata)])
  })

const followAll = async (client: PoolClient, events: number, ready: () => void): Promise<readonly number[]> => {
  const receiver = createReceiver(events)
  const notified = createSignal()
  let notifications = 0
  client.on('notification', () => {
    notifications += 1
    notified.notify()
  })
  await client.query('listen bench')
  ready()
  let after = 0
  let wasFull = false
  for (let known = 0; receiver.missing() > 0; ) {
    if (known === notifications && !wasFull) await notified.wait()
    known = notifications
    const { rows } = await client.query<{ position: string; data: string }>({
      name: 'read',
      text: select,
      values: [after],
    })
    wasFull = rows.length === readMax
    for (const { position, data } of rows) {
      receiver.receive(JSON.parse(data))
      // Transactions end in another order than they began: what comes after a gap is read again.
      if (Number(position) === after + 1) after += 1
    }
  }
  await client.query('unlisten bench')
  return receiver.received
}

/** Measures the least that works: each event is inserted with a NOTIFY in its own transaction, and a LISTEN reads what
 *  is new. */
export const contestant = async ({ url, parameters, ready }: Task<Parameters>): Promise<Outcome> => {
  await withStore(url, async () => undefined)
  return withPool(url, poolSize, async (pool) => {
    if (parameters.part === 'append')
      return {
        asked: await appendAll(parameters, (values) =>
          pool.query({ name: 'insert', text: insert, values: [...values] }),
        ),
      }
    const client = await pool.connect()
    try {
      return { received: await followAll(client, parameters.events, ready) }
    } finally {
      client.release()
    }
  })
}
