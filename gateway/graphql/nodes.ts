import type { InvoiceRow } from '../../projections/invoices.table.ts'
import type { JobRow } from '../../projections/jobs.table.ts'
import type { ListingRow } from '../../projections/listings.table.ts'
import type { PaymentRow } from '../../projections/payments.table.ts'
import type { ProviderRow } from '../../projections/providers.table.ts'
import type { RentalRow } from '../../projections/rentals.table.ts'
import { builder } from './builder.ts'

// The node types by name, so that they can refer to each other. Each is implemented in its own file, as Rental in
// rentals.ts.

export const Invoice = builder.objectRef<InvoiceRow>('Invoice')
export const Job = builder.objectRef<JobRow>('Job')
export const Listing = builder.objectRef<ListingRow>('Listing')
export const Payment = builder.objectRef<PaymentRow>('Payment')
export const Provider = builder.objectRef<ProviderRow>('Provider')
export const Rental = builder.objectRef<RentalRow>('Rental')
