import type { Database } from '../postgres.ts'
import type { Heartbeats } from './port.ts'

/** A silence up to this long is still billed. */
const toleranceMs = 30_000

const BEGIN = `
insert into ops.heartbeats (rental, acknowledged_ms, last_beat_at) values ($1, 0, $2)
on conflict (rental) do nothing`

/** One statement, so that two beats at once count no time twice: the second one waits for the first one and then reads
 *  its beat. */
const BEAT = `
update ops.heartbeats set
  acknowledged_ms = acknowledged_ms + case
    when $2::timestamptz - last_beat_at <= $3 * interval '1 ms'
    then (extract(epoch from $2::timestamptz - last_beat_at) * 1000)::bigint else 0 end,
  last_beat_at = $2
where rental = any($1) and last_beat_at < $2`

const READ = `select acknowledged_ms, last_beat_at from ops.heartbeats where rental = $1`
const END = `delete from ops.heartbeats where rental = $1`

/** Makes the heartbeats in the table ops.heartbeats, which migrateOperations makes. All calls throw
 *  DATABASE_UNAVAILABLE. */
export const postgresHeartbeats = ({ query }: Pick<Database, 'query'>): Heartbeats => ({
  begin: async (rental, startedAt) => {
    await query('heartbeats.begin', BEGIN, [rental, startedAt])
  },
  beat: async (rentals, at) => {
    if (rentals.length > 0) await query('heartbeats.beat', BEAT, [rentals, at, toleranceMs])
  },
  acknowledged: async (rental, startedAt, at) => {
    type Row = { acknowledged_ms: bigint; last_beat_at: string }
    const [row] = await query<Row>('heartbeats.acknowledged', READ, [rental], { retry: true })
    const acknowledgedMs = row ? Number(row.acknowledged_ms) : 0
    const sinceMs = Date.parse(at) - Date.parse(row?.last_beat_at ?? startedAt)
    const grantedMs = sinceMs > 0 && sinceMs <= toleranceMs ? sinceMs : 0
    return BigInt(Math.floor((acknowledgedMs + grantedMs) / 1000))
  },
  end: async (rental) => {
    await query('heartbeats.end', END, [rental])
  },
})
