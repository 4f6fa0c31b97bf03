import { openReadModels } from '../../projections/database.ts'
import { silent, withPool, withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { digestOf, leaseColumns, leases } from './leases.ts'

type Parameters = { readonly events: number; readonly batchSize: number; readonly round: number }

const assignments = leaseColumns
  .split(', ')
  .filter((column) => column !== 'id')
  .map((column) => `${column} = excluded.${column}`)
  .join(', ')

/** Returns the fold of leases.ts as one statement, and so as one transaction: it sums up a batch of the log by stream,
 *  merges the sums with the existing rows, and moves the checkpoint. Sums come before the JSON of single events is
 *  parsed: of the other fields only the last one counts. $1 checkpoint, $2 rows, $3 the prefix of each position. */
const foldStatement = (table: string): string => `
with batch as materialized (
  select position, stream_id, type, data, metadata from log.events where position > $1::bigint order by position limit $2
), sums as (
  select stream_id, max(position) as last,
    max(position) filter (where type = 'RentalRequested') as requested,
    max(position) filter (where type <> 'UsageMetered') as changed,
    max(position) filter (where type = 'UsageMetered') as metered,
    count(*) filter (where type = 'UsageMetered') as meterings,
    sum((data -> 'fee' ->> 'amount')::numeric) filter (where type = 'UsageMetered') as fees
  from batch group by stream_id
), rows as (
  select substr(s.stream_id, 8) as id,
    coalesce(case c.type when 'RentalRequested' then 'requested' when 'RentalActivated' then 'active'
      when 'RentalRejected' then 'rejected' when 'RentalEnded' then 'ended' when 'InvoiceIssued' then 'settled' end,
      old.status) as status,
    coalesce(r.data ->> 'renter', old.renter) as renter,
    coalesce(r.data ->> 'listing', old.listing) as listing,
    coalesce((r.data ->> 'gpuCount')::int, old.gpu_count) as gpu_count,
    coalesce((m.data ->> 'runSeconds')::bigint, old.run_seconds, 0) as run_seconds,
    coalesce(old.meterings, 0) + s.meterings as meterings,
    coalesce(r.data -> 'maxPricePerGpuHour' ->> 'asset', old.asset) as asset,
    coalesce(old.charged, 0) + coalesce(s.fees, 0) as charged,
    $3 || lpad(s.last::text, 20, '0') as position,
    (l.metadata ->> 'time')::timestamptz as updated_at
  from sums s
    join batch l on l.position = s.last
    left join batch r on r.position = s.requested
    left join batch c on c.position = s.changed
    left join batch m on m.position = s.metered
    left join ${table} old on old.id = substr(s.stream_id, 8)
), written as (
  insert into ${table} (${leaseColumns}) select ${leaseColumns} from rows on conflict (id) do update set ${assignments}
), moved as (
  update bench_checkpoint set position = (select max(last) from sums) where position = $1::bigint returning position
)
select position::text, (select count(*) from batch)::text as events from moved`

/** Measures the database without us: nothing leaves it. */
export const contestant = async ({ url, parameters }: Task<Parameters>): Promise<Outcome> => {
  const start = await withStore(url, async (store) => store.start)
  await (await openReadModels({ url, log: silent, projections: [] })).close()
  return withPool(url, 1, async (pool) => {
    const { create, tableName } = leases(parameters.round)
    await pool.query(create)
    await pool.query('create table bench_checkpoint as select 0::bigint as position')
    const text = foldStatement(tableName)
    const prefix = start.replace(/\d{20}$/, '')
    const began = performance.now()
    let events = 0
    for (let after = '0'; events < parameters.events; ) {
      const values = [after, parameters.batchSize, prefix]
      const { rows } = await pool.query<{ position: string; events: string }>({ name: 'fold', text, values })
      const [moved] = rows
      if (!moved) throw new Error(`the log ended after ${events} events, not ${parameters.events}`)
      after = moved.position
      events += Number(moved.events)
    }
    const tookMs = performance.now() - began
    const { rows } = await pool.query<{ digest: string }>(digestOf(tableName))
    await pool.query(`drop table ${tableName}, bench_checkpoint`)
    return { eventsPerSecond: (events * 1000) / tookMs, digest: Number(rows[0]?.digest) }
  })
}
