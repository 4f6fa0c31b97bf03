import type { Database } from '../postgres.ts'
import { type MachineTime, machineTime } from '../system/machine-time.ts'
import type { Log } from '../telemetry.ts'
import { clockDriftMsMax, type Heartbeats, lateBeatMsMax, silenceMsMax } from './port.ts'

/** A span is a time of beats of one machine without a longer silence, during which its wall clock was not set. A beat
 *  moves the end of the machine's last span, or begins a new one. One statement and one row, however many rentals there
 *  are. A beat that comes late changes nothing. The first span of a machine that takes over begins with the last beat
 *  before it, if that is near enough: no other clock has seen that silence.
 *  What spans say about the time after the begin of a new one is from before the clock was set, and is cut off: it would
 *  acknowledge time that is still to come. A machine that beats at the same time puts its span right with its next beat. */
const BEAT = `
with latest as (
  select number, ahead_ms from ops.heartbeat_spans where clock = $2 order by number desc limit 1
), extended as (
  update ops.heartbeat_spans
  set until = case when $3::bigint > beaten_ms then greatest(until, $1::timestamptz) else until end,
    beaten_ms = greatest(beaten_ms, $3::bigint)
  where number = (select number from latest)
    and (beaten_ms - $3::bigint between 0 and $7
      or ($3::bigint - beaten_ms between 1 and $5 and abs($4::bigint - ahead_ms) <= $6))
  returning number
), before as (
  select max(until) as ends_at, max(until) filter (where until <= $1::timestamptz) as ended_at from ops.heartbeat_spans
), begun as (
  insert into ops.heartbeat_spans (since, until, clock, beaten_ms, ahead_ms)
  select case when not exists (select from latest) and $1::timestamptz - ended_at <= $5 * interval '1 ms'
      then ended_at else $1::timestamptz end,
    $1::timestamptz, $2, $3::bigint, $4::bigint
  from before where not exists (select from extended)
  returning number, since
), cut as (
  update ops.heartbeat_spans as span set until = begun.since from begun where span.until > begun.since
)
select coalesce(
  $4::bigint - (select ahead_ms from latest), least(0, floor(extract(epoch from $1::timestamptz - ends_at) * 1000))
)::bigint as moved_ms
from begun left join before on true`

/** Sums the spans between two moments. Spans of several machines may overlap: each counts from the end of those before
 *  it. A rental from before there were spans has its own row, and counts from its last beat on. */
const READ = `
with earlier as (
  select acknowledged_ms, last_beat_at from ops.heartbeats where rental = $1
), wanted as (
  select coalesce((select acknowledged_ms from earlier), 0) as earlier_ms,
    coalesce((select last_beat_at from earlier), $2::timestamptz) as begins
), spans as (
  select since, until, max(until) over (order by since, number rows between unbounded preceding and 1 preceding) as counted
  from ops.heartbeat_spans
  where until > since and until >= (select begins from wanted)
), counted as (
  select greatest(begins, since, counted) as since, least(until, $3::timestamptz) as until from spans, wanted
)
select floor((earlier_ms + coalesce((
  select sum(extract(epoch from until - since) * 1000) from counted where until > since
), 0)) / 1000)::bigint as seconds
from wanted`

const IS_FINAL = `
select coalesce(max(until) >= $1::timestamptz or $2::timestamptz - max(until) > $3 * interval '1 ms', true) as final
from ops.heartbeat_spans where since <= $2::timestamptz`

/** Makes the heartbeats in the table ops.heartbeat_spans, which migrateOperations makes. All calls throw
 *  DATABASE_UNAVAILABLE.
 *  @param options.time the time of the machine at a beat
 *  @param options.log gets a warning when the wall clock was set */
export const postgresHeartbeats = (
  { query }: Pick<Database, 'query'>,
  options: { readonly time?: () => MachineTime; readonly log?: Pick<Log, 'warn'> } = {},
): Heartbeats => {
  const { time = machineTime, log } = options
  return {
    beat: async (at) => {
      const { clock, ms } = time()
      const values = [at, clock, ms, Date.parse(at) - ms, silenceMsMax, clockDriftMsMax, lateBeatMsMax]
      const [begun] = await query<{ moved_ms: bigint | null }>('heartbeats.beat', BEAT, values, { retry: true })
      const movedMs = Number(begun?.moved_ms ?? 0)
      if (Math.abs(movedMs) > clockDriftMsMax)
        log?.warn(
          { seconds: Math.round(movedMs / 1000), at },
          'the clock of the machine was set: rentals are charged by what it shows from now on',
        )
    },
    acknowledged: async (rental, startedAt, until) => {
      const values = [rental, startedAt, until]
      const [row] = await query<{ seconds: bigint }>('heartbeats.acknowledged', READ, values, { retry: true })
      return row?.seconds ?? 0n
    },
    isFinal: async (until, now) => {
      const values = [until, now, silenceMsMax]
      const [row] = await query<{ final: boolean }>('heartbeats.isFinal', IS_FINAL, values, { retry: true })
      return row?.final ?? true
    },
  }
}
