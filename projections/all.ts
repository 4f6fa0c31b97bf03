import { accounts } from './accounts.ts'
import type { Projection } from './engine/projection.ts'
import { events } from './events.ts'
import { invoices } from './invoices.ts'
import { jobs } from './jobs.ts'
import { ledgerEntries } from './ledger-entries.ts'
import { listings } from './listings.ts'
import { payments } from './payments.ts'
import { providers } from './providers.ts'
import { rentals } from './rentals.ts'

/** Every read model of the platform. */
export const allProjections: readonly Projection[] = [
  providers,
  listings,
  rentals,
  jobs,
  accounts,
  ledgerEntries,
  invoices,
  payments,
  events,
]
