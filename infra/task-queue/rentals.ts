import type { Database } from '../postgres.ts'

/** The name of the schema is data. */
const READ = `select j.id, t.identifier as timer, j.payload ->> 'rental' as rental
from jobs._private_jobs j join jobs._private_tasks t on t.id = j.task_id
where j.payload ->> 'rental' is not null order by j.id`
const REMOVE = `delete from jobs._private_jobs where id = $1`

export type RentalTimer = { readonly id: bigint; readonly timer: string; readonly rental: string }

/** Resolves to the timers that belong to a rental. */
export const readRentalTimers = async ({ query }: Pick<Database, 'query'>): Promise<readonly RentalTimer[]> => {
  const [table] = await query<{ there: boolean }>(
    'jobs.check',
    `select to_regclass('jobs._private_jobs') is not null as there`,
  )
  return table?.there ? query<RentalTimer>('jobs.ofRentals', READ) : []
}

/** Removes a timer. No process may run it. */
export const removeTimer = async ({ query }: Pick<Database, 'query'>, id: bigint): Promise<void> => {
  await query('jobs.remove', REMOVE, [id])
}
