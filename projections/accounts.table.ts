import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Asset } from '../domain/money.ts'
import { amount, key, readSchema, stamps } from './engine/table.ts'

/** Balances of users, one row for each user and asset: what is available and what is held for rentals, in minor
 *  units. */
export const accountsTable = defineEntity({
  name: 'Account',
  tableName: 'accounts',
  schema: readSchema,
  properties: {
    /** `<user>:<asset>` */
    id: key().primary(),
    user: key().index(),
    asset: p.text().$type<Asset>(),
    available: amount(),
    held: amount(),
    ...stamps(),
  },
})
export type AccountRow = InferEntity<typeof accountsTable>
