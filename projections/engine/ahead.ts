import type { Database } from '../../infra/postgres.ts'
import { deleteParked } from './parked-streams.ts'

type Stored = { readonly projection: string; readonly version: number; readonly position: string }

const READ = (table: string) => `select projection, version, position from ${table} order by projection`
const FORGET = (table: string) => `delete from ${table} where projection = $1`

/** Has the next projector build those read models anew whose rows reflect events that the log does not have: live ones,
 *  and builds under way. Until they are built, queries on them are refused. No process may run them. Resolves to their
 *  names and to where they were.
 *  @param isAhead returns whether the log has lost the event at a position. */
export const rebuildAhead = async (
  database: Pick<Database, 'query' | 'transaction'>,
  isAhead: (position: string) => boolean,
): Promise<readonly { readonly name: string; readonly position: string }[]> => {
  const [schema] = await database.query<{ there: boolean }>(
    'checkpoints.check',
    `select to_regclass('read.checkpoints') is not null as there`,
  )
  if (!schema?.there) return []
  return database.transaction('projections.rebuildAhead', async (query) => {
    const ahead = new Map<string, string>()
    for (const table of ['read.builds', 'read.checkpoints'])
      for (const { projection, version, position } of await query<Stored>('checkpoints.all', READ(table))) {
        if (!isAhead(position)) continue
        ahead.set(projection, position)
        await query('checkpoints.forget', FORGET(table), [projection])
        await deleteParked(query, projection, version)
      }
    return [...ahead].map(([name, position]) => ({ name, position }))
  })
}
