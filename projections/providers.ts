import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Event } from '../domain/provider.ts'
import type { ReadModels } from './database.ts'
import { byIds } from './page.ts'
import { existing, projection } from './projection.ts'
import { key, moment, readSchema, stamps } from './table.ts'

/** Who lists GPUs; the id is the wallet. */
export const providersTable = defineEntity({
  name: 'Provider',
  tableName: 'providers',
  schema: readSchema,
  properties: { id: key().primary(), name: p.text(), registeredAt: moment(), ...stamps() },
})
export type ProviderRow = InferEntity<typeof providersTable>

export const providers = projection<Event, ProviderRow>({
  name: 'providers',
  version: 1,
  table: providersTable,
  key: (_, { id }) => id,
  fold: {
    ProviderRegistered: (_, { name, registeredAt }) => ({ name, registeredAt }),
    ProviderRenamed: (row, { name }, recorded) => ({ ...existing(row, recorded), name }),
  },
})

/** Many providers with one query, in the order asked. */
export const findProviders = (read: ReadModels, ids: readonly string[]): Promise<(ProviderRow | undefined)[]> =>
  byIds(ids, (wanted) =>
    read.run('providers.find', (db) => db.selectFrom('Provider').selectAll().where('id', 'in', wanted).execute()),
  )

export const findProvider = async (read: ReadModels, id: string): Promise<ProviderRow | undefined> =>
  (await findProviders(read, [id]))[0]
