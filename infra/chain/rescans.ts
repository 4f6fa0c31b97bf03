import type { Database } from '../postgres.ts'
import type { Rescan, Rescans } from './port.ts'

const NEXT_OPEN = `
select id, from_block, to_block, next_block, recovered from ops.rescans
where cursor_name = $1 and done_at is null order by id limit 1`
// A watcher that was slow reports an older block: the later one counts.
const REPORT = `
update ops.rescans set
  next_block = greatest(next_block, $2),
  recovered = greatest(recovered, $3),
  done_at = case when $2 > to_block then coalesce(done_at, now()) end
where id = $1`
const REQUEST = `
insert into ops.rescans (cursor_name, requested_by, from_block, to_block, next_block)
values ($1, $2, $3, $4, $3) returning id`
const READ = `select next_block, recovered, done_at is not null as done from ops.rescans where id = $1`

/** Makes the store of rescans of one marketplace contract on one chain, in the table ops.rescans. Rows stay, as a
 *  record of who asked for what. */
export const postgresRescans = ({ query }: Pick<Database, 'query'>, cursorName: string): Rescans => ({
  nextOpen: async () => {
    type Row = Record<'id' | 'from_block' | 'to_block' | 'next_block' | 'recovered', string>
    const [row] = await query<Row>('chain.next rescan', NEXT_OPEN, [cursorName], { retry: true })
    if (row === undefined) return undefined
    const { id, from_block, to_block, next_block, recovered } = row
    return {
      id: BigInt(id),
      from: BigInt(from_block),
      to: BigInt(to_block),
      next: BigInt(next_block),
      recovered: BigInt(recovered),
    }
  },
  report: async ({ id, next, recovered }: Rescan) => {
    await query('chain.report rescan', REPORT, [String(id), String(next), String(recovered)])
  },
})

/** Stores a request to read the final blocks from..to again. Resolves to its id. */
export const requestRescan = async (
  { query }: Pick<Database, 'query'>,
  request: { readonly cursorName: string; readonly by: string; readonly from: bigint; readonly to: bigint },
): Promise<bigint> => {
  const { cursorName, by, from, to } = request
  const [row] = await query<{ id: string }>('chain.request rescan', REQUEST, [cursorName, by, `${from}`, `${to}`])
  return BigInt(row?.id ?? 0)
}

/** Resolves to how far a rescan has come. */
export const rescanProgress = async (
  { query }: Pick<Database, 'query'>,
  id: bigint,
): Promise<{ readonly next: bigint; readonly recovered: bigint; readonly done: boolean }> => {
  type Row = { next_block: string; recovered: string; done: boolean }
  const [row] = await query<Row>('chain.rescan', READ, [String(id)], { retry: true })
  return { next: BigInt(row?.next_block ?? 0), recovered: BigInt(row?.recovered ?? 0), done: row?.done ?? false }
}

/** Resolves to the last final block that was read of each contract. */
export const readCursors = async ({
  query,
}: Pick<Database, 'query'>): Promise<readonly { readonly name: string; readonly block: bigint }[]> => {
  const rows = await query<{ name: string; block: string }>(
    'chain.cursors',
    'select name, block from ops.cursors order by name',
    [],
    { retry: true },
  )
  return rows.map(({ name, block }) => ({ name, block: BigInt(block) }))
}
