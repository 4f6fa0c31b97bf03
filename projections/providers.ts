import type { Event } from '../domain/provider.ts'
import { existing, projection } from './engine/projection.ts'
import { type ProviderRow, providersTable } from './providers.table.ts'
import { findByIds, findOne } from './queries.ts'

/** Providers of GPUs. */
export const providers = projection<Event, ProviderRow>({
  name: 'providers',
  version: 1,
  table: providersTable,
  key: (_, { id }) => id,
  fold: {
    ProviderRegistered: (_, { name, registeredAt }) => ({ name, registeredAt }),
    ProviderRenamed: (row, { name }, metadata) => ({ ...existing(row, metadata), name }),
  },
})

/** Finds providers with one query, in the order of the ids. */
export const findProviders = findByIds<ProviderRow>('providers.find', (db) => db.selectFrom('Provider').selectAll())

/** Finds one provider. */
export const findProvider = findOne(findProviders)
