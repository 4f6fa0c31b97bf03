import type { Database } from '../postgres.ts'
import type { UsedNonces } from './port.ts'

/** How long a nonce is remembered after it has expired: the clocks of two gateways may differ by so much. */
const clockSecondsMax = 3_600
/** Each use forgets at most so many expired ones: more than it adds, and no use waits for many. */
const forgottenMax = 10

/** One statement: of those who insert the same nonce at once, all but one wait for its commit and insert nothing. Rows
 *  that another use is about to delete are skipped, so no two uses wait for each other. */
const USE = `
with forgotten as (
  delete from ops.used_nonces where nonce in (
    select nonce from ops.used_nonces where expires_at < now() - $3 * interval '1 s'
    order by expires_at limit $4 for update skip locked
  )
)
insert into ops.used_nonces (nonce, expires_at) values ($1, $2)
on conflict (nonce) do nothing returning nonce`

/** Makes the memory of used nonces in the table ops.used_nonces, which migrateOperations makes. */
export const postgresUsedNonces = ({ query }: Pick<Database, 'query'>): UsedNonces => ({
  use: async (nonce, expiresAt) => {
    const used = await query('nonces.use', USE, [nonce, expiresAt, clockSecondsMax, forgottenMax])
    return used.length === 1
  },
})
