import type { Event } from '../domain/provider.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { byIds } from './page.ts'
import { type ProviderRow, providersTable } from './providers.table.ts'

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
