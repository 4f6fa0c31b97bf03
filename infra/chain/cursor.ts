import type { Database } from '../postgres.ts'
import type { ChainCursor } from './port.ts'

const READ = `select block from ops.cursors where name = $1`
const SAVE = `
insert into ops.cursors (name, block) values ($1, $2)
on conflict (name) do update set block = greatest(ops.cursors.block, excluded.block)`

/** Makes the cursor of one marketplace contract on one chain, in the table ops.cursors, which migrateOperations
 *  makes. */
export const postgresChainCursor = ({ query }: Pick<Database, 'query'>, name: string): ChainCursor => ({
  load: async () => {
    const [row] = await query<{ block: string }>('chain.cursor', READ, [name], { retry: true })
    return row && BigInt(row.block)
  },
  save: async (block) => {
    await query('chain.save cursor', SAVE, [name, String(block)])
  },
})
