import type { Database } from '../postgres.ts'
import type { ChainCursor, CursorPlace } from './port.ts'

const READ = `select block, hash, chain from ops.cursors where name = $1`
// Hash and chain are those of the block: they change with it, and are filled in where an older version left them out.
const SAVE = `
insert into ops.cursors (name, block, hash, chain) values ($1, $2, $3, $4)
on conflict (name) do update set block = excluded.block, hash = excluded.hash, chain = excluded.chain
where ops.cursors.block < excluded.block or (ops.cursors.block = excluded.block and ops.cursors.hash is null)`
const READ_CUSTODY = `
select custody_block, custody_contract, custody_ledger, custody_checked_at from ops.cursors
where name = $1 and custody_block is not null`
const SAVE_CUSTODY = `
update ops.cursors set custody_block = $2, custody_contract = $3, custody_ledger = $4, custody_checked_at = $5
where name = $1 and (custody_block is null or custody_block <= $2)`

/** Makes the cursor of one marketplace contract on one chain, in the table ops.cursors, which migrateOperations
 *  makes. */
export const postgresChainCursor = ({ query }: Pick<Database, 'query'>, name: string): ChainCursor => ({
  load: async () => {
    type Row = { block: string; hash: CursorPlace['hash'] | null; chain: string | null }
    const [row] = await query<Row>('chain.cursor', READ, [name], { retry: true })
    return row && { block: BigInt(row.block), hash: row.hash ?? undefined, chain: row.chain ?? undefined }
  },
  save: async ({ block, hash, chain }) => {
    await query('chain.save cursor', SAVE, [name, String(block), hash ?? null, chain ?? null])
  },
  loadCustody: async () => {
    type Row = {
      custody_block: string
      custody_contract: string
      custody_ledger: string
      custody_checked_at: Date | string
    }
    const [row] = await query<Row>('chain.custody', READ_CUSTODY, [name], { retry: true })
    return (
      row && {
        block: BigInt(row.custody_block),
        contract: BigInt(row.custody_contract),
        ledger: BigInt(row.custody_ledger),
        checkedAt: new Date(row.custody_checked_at).toISOString(),
      }
    )
  },
  saveCustody: async ({ block, contract, ledger, checkedAt }) => {
    const values = [name, String(block), String(contract), String(ledger), checkedAt]
    await query('chain.save custody', SAVE_CUSTODY, values)
  },
})
