import { createBatchLoader } from '../../infra/async/batch-loader.ts'
import type { ReadModels } from '../../projections/database.ts'
import { findInvoices } from '../../projections/invoices.ts'
import { findJobPrograms } from '../../projections/jobs.ts'
import { findListings } from '../../projections/listings.ts'
import { findProviders } from '../../projections/providers.ts'
import { findRentals } from '../../projections/rentals.ts'

/** Creates the loaders of one request. They load nodes within nodes with one query per type, however many nodes there
 *  are. */
export const createLoaders = (read: ReadModels) => ({
  invoice: createBatchLoader((ids) => findInvoices(read, ids)),
  jobProgram: createBatchLoader((ids) => findJobPrograms(read, ids)),
  listing: createBatchLoader((ids) => findListings(read, ids)),
  provider: createBatchLoader((ids) => findProviders(read, ids)),
  rental: createBatchLoader((ids) => findRentals(read, ids)),
})
export type Loaders = ReturnType<typeof createLoaders>
