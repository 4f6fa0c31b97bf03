import type { InvoiceRow } from '../../projections/invoices.table.ts'
import type { JobProgram, ListedJob } from '../../projections/jobs.ts'
import type { ListingRow } from '../../projections/listings.table.ts'
import type { PaymentRow } from '../../projections/payments.table.ts'
import type { ProviderRow } from '../../projections/providers.table.ts'
import type { RentalRow } from '../../projections/rentals.table.ts'
import { builder } from './builder.ts'

// The node types by name, so that they can refer to each other. Each is implemented in its own file, as Rental in
// rentals.ts.

export const Invoice = builder.objectRef<InvoiceRow>('Invoice')
/** A job of a list has no program until one is asked for. */
export const Job = builder.objectRef<ListedJob & Partial<JobProgram>>('Job')
export const Listing = builder.objectRef<ListingRow>('Listing')
export const Payment = builder.objectRef<PaymentRow>('Payment')
export const Provider = builder.objectRef<ProviderRow>('Provider')
export const Rental = builder.objectRef<RentalRow>('Rental')
