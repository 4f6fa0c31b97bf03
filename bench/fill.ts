import { withPool, withStore } from './connect.ts'
import { copyIn, createRowWriter, type RowWriter } from './copy.ts'
import { eventAt, placeOf, streamOf } from './events.ts'

export const eventColumns = 'log.events (position, version, created_at, event_id, stream_id, type, data, metadata)'

const createdFrom = Date.UTC(2026, 0, 1)

const writeEvent = (writer: RowWriter, position: number, rental: number, revision: number): void => {
  const { id, type, data, metadata } = eventAt(rental, revision)
  writer.row(8)
  writer.int8(position)
  writer.int8(revision)
  writer.timestamp(createdFrom + position)
  writer.uuid(id)
  writer.text(streamOf(rental))
  writer.text(type)
  writer.text(JSON.stringify(data))
  writer.text(JSON.stringify(metadata))
}

function* inChunks(end: number, write: (writer: RowWriter, n: number) => void, begin = 0): Generator<Buffer> {
  const writer = createRowWriter()
  for (let n = begin; n < end; n += 1) {
    write(writer, n)
    const chunk = writer.take()
    if (chunk) yield chunk
  }
  yield writer.take(true) ?? Buffer.alloc(0)
}

/** Yields the rows of a log of `events` events, of rentals with `length` events each, that run side by side; without
 *  the first ones. */
export const chunksOfLog = (events: number, length: number, first = 0): Generator<Buffer> =>
  inChunks(
    events,
    (writer, n) => {
      const { rental, revision } = placeOf(n, length)
      writeEvent(writer, n + 1, rental, revision)
    },
    first,
  )

const copyAndTidy = (url: string, into: string, chunks: Iterable<Buffer>, after: readonly string[]): Promise<void> =>
  withPool(url, 1, async (pool) => {
    const client = await pool.connect()
    try {
      await copyIn(client, into, chunks)
      for (const text of after) await client.query(text)
    } finally {
      client.release()
    }
  })

const tidy = ['vacuum (analyze, freeze) log.events']

/** Makes the log of our store, and tidies up as autovacuum would do in the middle of a measurement. */
export const fillLog = async (url: string, events: number, length: number): Promise<void> => {
  await withStore(url, async () => undefined)
  await copyAndTidy(url, eventColumns, chunksOfLog(events, length), tidy)
}

/** Makes the log of our store: one rental for each of these lengths, numbered from 0, one after the other. */
export const fillStreams = async (url: string, lengths: readonly number[]): Promise<void> => {
  await withStore(url, async () => undefined)
  const places = lengths.flatMap((length, rental) => Array.from({ length }, (_, revision) => ({ rental, revision })))
  const chunks = inChunks(places.length, (writer, n) => {
    const { rental, revision } = places[n] ?? { rental: 0, revision: 0 }
    writeEvent(writer, n + 1, rental, revision)
  })
  await copyAndTidy(url, eventColumns, chunks, tidy)
}

const partition = 'emt:default'

/** Fills the tables of the peer with the same log, as its own append would have written it. The peer must have created
 *  them. */
export const fillPeerLog = (url: string, events: number, length: number): Promise<void> =>
  withPool(url, 1, async (pool) => {
    const client = await pool.connect()
    try {
      const { rows } = await client.query<{ id: string }>('select pg_current_xact_id()::text as id')
      const transaction = BigInt(rows[0]?.id ?? 0)
      const chunks = inChunks(events, (writer, n) => {
        const { rental, revision } = placeOf(n, length)
        const { id, type, data, metadata } = eventAt(rental, revision)
        writer.row(11)
        writer.int8(revision + 1)
        writer.int8(n + 1)
        writer.int8(transaction)
        writer.text('E')
        writer.text(streamOf(rental))
        writer.text(partition)
        writer.text('1')
        writer.text(id)
        writer.text(type)
        writer.jsonb(JSON.stringify(data))
        writer.jsonb(JSON.stringify(metadata))
      })
      await copyIn(
        client,
        `emt_messages (stream_position, global_position, transaction_id, message_kind, stream_id, partition,
          message_schema_version, message_id, message_type, message_data, message_metadata)`,
        chunks,
      )
      await client.query(
        `insert into emt_streams (stream_id, stream_position, partition, stream_type, stream_metadata)
         select stream_id, max(stream_position), partition, 'rental', '{}' from emt_messages group by 1, 3`,
      )
      await client.query(`select setval('emt_global_message_position', $1)`, [events])
      for (const table of ['emt_messages', 'emt_streams']) await client.query(`vacuum (analyze, freeze) ${table}`)
    } finally {
      client.release()
    }
  })
