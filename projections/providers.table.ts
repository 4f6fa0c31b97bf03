import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import { key, moment, readSchema, stamps } from './engine/table.ts'

/** Providers of GPUs; the id is the wallet. */
export const providersTable = defineEntity({
  name: 'Provider',
  tableName: 'providers',
  schema: readSchema,
  properties: { id: key().primary(), name: p.text(), registeredAt: moment(), ...stamps() },
})
export type ProviderRow = InferEntity<typeof providersTable>
