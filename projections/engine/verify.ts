import { isDeepStrictEqual } from 'node:util'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { liveTarget, readCheckpoints } from './checkpoints.ts'
import { parkedPositions } from './parked-streams.ts'
import { decodeStored, foldInto, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

const pageRows = 2_000

/** One row that differs from the fold of the log. `columns` has both values of each column that differs. */
export type Difference = {
  readonly projection: string
  readonly id: string
  readonly problem: 'missing in the table' | 'not in the log' | 'differs'
  readonly columns: Readonly<Record<string, { readonly live: unknown; readonly rebuilt: unknown }>>
}

/** Folds the whole log afresh, in memory, and compares the result row by row with each live table at its checkpoint.
 *  Resolves to an empty list if all rows are equal. Runners may go on meanwhile, but a new version is swapped in only
 *  afterwards. Waiting events of parked streams are left out here too. Needs memory for one read model at a time. */
export const compareWithRebuild = async (options: {
  readonly store: Pick<EventStore, 'readAll'>
  readonly database: Pick<Database, 'transaction'>
  readonly projections: readonly Projection[]
}): Promise<readonly Difference[]> => {
  const { store, database, projections } = options
  const differences: Difference[] = []
  for (const projection of projections)
    differences.push(
      ...(await database.transaction('rebuild.compare', async (query) => {
        // Rows and checkpoint must be of one moment, or a commit between two pages would look like a difference. The
        // lock keeps the table itself, which the snapshot does not: a swap replaces the table behind the name.
        await query('rebuild.snapshot', 'set transaction isolation level repeatable read, read only')
        await query('rebuild.lock', `lock table ${projection.table.name} in access share mode`)
        const [checkpoint] = await readCheckpoints(query, [projection.name])
        const parked = await parkedPositions(query, liveTarget(projection))
        const rebuilt = await rebuild(store, projection, parked, checkpoint?.position ?? '')
        return compare(query, projection, rebuilt)
      })),
    )
  return differences
}

const rebuild = async (
  store: Pick<EventStore, 'readAll'>,
  projection: Projection,
  parked: ReadonlyMap<string, string>,
  until: string,
): Promise<Map<string, AnyRow>> => {
  const rows = new Map<string, AnyRow>()
  for await (const stored of store.readAll({ types: projection.types })) {
    if (stored.position > until) break
    const parkedAt = parked.get(stored.stream)
    if (parkedAt !== undefined && stored.position >= parkedAt) continue
    const { event, metadata } = decodeStored(stored)
    foldInto(projection, rows, event, metadata)
  }
  return rows
}

const compare = async (query: Query, { name, table }: Projection, rebuilt: Map<string, AnyRow>) => {
  const differences: Difference[] = []
  for (let lastId = '', full = true; full; ) {
    const raw = await query<Record<string, unknown>>('rebuild.page', table.selectPage, [lastId, pageRows])
    full = raw.length === pageRows
    for (const live of raw.map((columns) => table.decode(columns))) {
      lastId = live.id
      const wanted = rebuilt.get(live.id)
      rebuilt.delete(live.id)
      const columns = wanted ? differing(live, wanted) : {}
      if (!wanted) differences.push({ projection: name, id: live.id, problem: 'not in the log', columns })
      else if (Object.keys(columns).length > 0)
        differences.push({ projection: name, id: live.id, problem: 'differs', columns })
    }
  }
  for (const id of rebuilt.keys())
    differences.push({ projection: name, id, problem: 'missing in the table', columns: {} })
  return differences
}

const differing = (live: AnyRow, rebuilt: AnyRow): Difference['columns'] => {
  const theirs = rebuilt as unknown as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(live)
      .filter(([column, value]) => !isDeepStrictEqual(value, theirs[column]))
      .map(([column, value]) => [column, { live: value, rebuilt: theirs[column] }]),
  )
}
