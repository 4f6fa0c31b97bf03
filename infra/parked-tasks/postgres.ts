import { Gauge } from 'prom-client'
import { within } from '../async/within.ts'
import type { Database } from '../postgres.ts'
import { taskSchema, taskTriesMax } from '../task-queue.ts'
import type { Metrics } from '../telemetry.ts'
import type { Decision, ParkedTask, ParkedTasks } from './port.ts'

/** How old the counts may be: a page that every client may load asks the database no more often. */
const countsMsMax = 5_000
/** How long the metrics wait for them: a database that has stopped answering must not keep back all others. */
const metricsMsMax = 1_000

type TaskRow = Omit<ParkedTask, 'error'> & { readonly error: string | null }

const taskOf = ({ error, ...task }: TaskRow): ParkedTask => ({ ...task, error: error ?? undefined })

/** Opens the parked tasks of the queue, and counts them in the metric `tasks_parked`. All but `counts` throw
 *  DATABASE_UNAVAILABLE too. */
export const postgresParkedTasks = ({
  database,
  metrics,
}: {
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly metrics?: Metrics
}): ParkedTasks => {
  let counted: { readonly atMs: number; readonly counts: Promise<Readonly<Record<string, number>>> } | undefined

  const count = async () => {
    const rows = await database.query<{ task: string; count: bigint }>('tasks.count', COUNT_PARKED)
    return Object.fromEntries(rows.map(({ task, count }) => [task, Number(count)]))
  }

  const counts: ParkedTasks['counts'] = () => {
    const nowMs = performance.now()
    if (counted === undefined || nowMs - counted.atMs > countsMsMax) counted = { atMs: nowMs, counts: count() }
    return counted.counts
  }

  if (metrics) registerGauge(metrics, counts)

  return {
    counts,
    parked: async (limit) => (await database.query<TaskRow>('tasks.parked', LIST_PARKED, [limit])).map(taskOf),
    decide: (key, { decision, by, reason }) =>
      database.transaction('tasks.decide', async (query) => {
        const [found] = await query<TaskRow & { id: bigint }>('tasks.find', FIND_PARKED, [key])
        if (!found) return undefined
        const { id, ...row } = found
        const changed = await query('tasks.change', changes[decision], [id])
        // A worker has taken it in between: the decision came too late.
        if (changed.length === 0) return undefined
        const { task, payload, attempts, error, since } = row
        await query('tasks.record', RECORD, [key, task, payload, attempts, error, since, decision, by, reason])
        counted = undefined
        return taskOf(row)
      }),
    decisions: async (limit) => {
      type Row = TaskRow & { id: bigint; decision: Decision; by: string; reason: string; at: string }
      const rows = await database.query<Row>('tasks.decisions', DECISIONS, [limit])
      return rows.map(({ error, ...decision }) => ({ ...decision, error: error ?? undefined }))
    },
  }
}

const gaugeName = 'tasks_parked'

const registerGauge = (metrics: Metrics, counts: ParkedTasks['counts']): void => {
  const gauge = new Gauge({
    name: gaugeName,
    help: 'Timers and handlers that have failed for good and wait for an operator.',
    labelNames: ['task'],
    registers: [metrics],
    collect: async () => {
      // While the database is away, or does not answer, the last figures stay.
      const known: Promise<Readonly<Record<string, number>> | undefined> = counts()
      const parked = await within(known, metricsMsMax, () => undefined).catch(() => undefined)
      if (parked === undefined) return
      gauge.reset()
      for (const [task, count] of Object.entries(parked)) gauge.set({ task }, count)
    },
  })
}

// The library has a view of its tasks, but without their payload.
const fromParked = `${taskSchema}._private_jobs as tasks join ${taskSchema}._private_tasks as names on names.id = tasks.task_id
  where tasks.attempts >= tasks.max_attempts and tasks.locked_at is null and tasks.key is not null`

const columns = `tasks.key, names.identifier as task, tasks.payload::text as payload, tasks.attempts::int as attempts,
  tasks.last_error as error, tasks.updated_at as since`

const COUNT_PARKED = `select names.identifier as task, count(*) as count from ${fromParked} group by names.identifier`
const LIST_PARKED = `select ${columns} from ${fromParked} order by tasks.updated_at, tasks.id limit $1`
const FIND_PARKED = `select tasks.id, ${columns} from ${fromParked} and tasks.key = $1 for update of tasks`

const changes: Readonly<Record<Decision, string>> = {
  retry: `select id from ${taskSchema}.reschedule_jobs(array[$1::bigint], run_at => now(), attempts => 0,
    max_attempts => ${taskTriesMax})`,
  'give up': `select id from ${taskSchema}.complete_jobs(array[$1::bigint])`,
}

const RECORD = `
insert into ops.task_decisions (key, task, payload, attempts, error, since, decision, decided_by, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

const DECISIONS = `
select id, key, task, payload, attempts, error, since, decision, decided_by as by, reason, decided_at as at
from ops.task_decisions order by id desc limit $1`
