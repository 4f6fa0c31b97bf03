import type { Database } from '../postgres.ts'
import type { Heartbeats } from './port.ts'

/** A silence up to this long is still billed. */
const toleranceMs = 30_000

/** A span is a time of beats without a longer silence. A beat moves the end of the last span, or begins a new one after
 *  a silence. One statement and one row, however many rentals there are. A beat that comes late changes nothing. */
const BEAT = `
with extended as (
  update ops.heartbeat_spans set until = greatest(until, $1::timestamptz)
  where since = (select max(since) from ops.heartbeat_spans)
    and $1::timestamptz - until <= $2 * interval '1 ms'
  returning since
)
insert into ops.heartbeat_spans (since, until)
select $1::timestamptz, $1::timestamptz where not exists (select from extended)
on conflict do nothing`

/** Sums the spans between two moments. Two schedulers that beat at once may make spans that overlap or follow each
 *  other closely: each span counts from the end of those before it, unless the silence between them is too long. A
 *  rental from before there were spans has its own row, and counts from its last beat on. */
const READ = `
with earlier as (
  select acknowledged_ms, last_beat_at from ops.heartbeats where rental = $1
), wanted as (
  select coalesce((select acknowledged_ms from earlier), 0) as earlier_ms,
    coalesce((select last_beat_at from earlier), $2::timestamptz) as begins
), spans as (
  select since, until, max(until) over (order by since rows between unbounded preceding and 1 preceding) as silent_since
  from ops.heartbeat_spans
  where until >= (select begins from wanted) - $4 * interval '1 ms'
), counted as (
  select greatest(begins, case when since - silent_since <= $4 * interval '1 ms' then silent_since else since end) as since,
    least(until, $3::timestamptz) as until
  from spans, wanted
)
select floor((earlier_ms + coalesce((
  select sum(extract(epoch from until - since) * 1000) from counted where until > since
), 0)) / 1000)::bigint as seconds
from wanted`

const IS_FINAL = `
select coalesce(max(until) >= $1::timestamptz or $2::timestamptz - max(until) > $3 * interval '1 ms', true) as final
from ops.heartbeat_spans`

/** Makes the heartbeats in the table ops.heartbeat_spans, which migrateOperations makes. All calls throw
 *  DATABASE_UNAVAILABLE. */
export const postgresHeartbeats = ({ query }: Pick<Database, 'query'>): Heartbeats => ({
  beat: async (at) => {
    await query('heartbeats.beat', BEAT, [at, toleranceMs], { retry: true })
  },
  acknowledged: async (rental, startedAt, until) => {
    const values = [rental, startedAt, until, toleranceMs]
    const [row] = await query<{ seconds: bigint }>('heartbeats.acknowledged', READ, values, { retry: true })
    return row?.seconds ?? 0n
  },
  isFinal: async (until, now) => {
    const values = [until, now, toleranceMs]
    const [row] = await query<{ final: boolean }>('heartbeats.isFinal', IS_FINAL, values, { retry: true })
    return row?.final ?? true
  },
})
