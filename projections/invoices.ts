import type { Event } from '../domain/rental.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type InvoiceRow, type InvoiceTableRow, invoicesTable } from './invoices.table.ts'
import type { Page, PageRequest } from './page.ts'
import { findByIds, findOne, newestFirst, whereEqual } from './queries.ts'

/** Invoices, one per rental. */
export const invoices = projection<Event, InvoiceTableRow>({
  name: 'invoices',
  version: 2,
  table: invoicesTable,
  key: (_, { id }) => id,
  fold: {
    RentalRequested: (_, { renter, listing, gpuCount, maxPricePerGpuHour }) => ({
      status: 'draft',
      renter,
      provider: null,
      listing,
      gpu: null,
      gpuCount,
      pricePerGpuHour: null,
      runSeconds: 0n,
      lines: [],
      total: 0n,
      released: 0n,
      asset: maxPricePerGpuHour.asset,
      startedAt: null,
      endedAt: null,
      issuedAt: null,
    }),
    RentalActivated: (row, { provider, gpu, pricePerGpuHour, startedAt }, metadata) => ({
      ...existing(row, metadata),
      provider,
      gpu,
      pricePerGpuHour: pricePerGpuHour.amount,
      startedAt,
    }),
    RentalRejected: (row, _, metadata) => ({ ...existing(row, metadata), status: 'void' }),
    UsageMetered: (row) => row,
    RentalJobAdmitted: (row) => row,
    RentalJobClosed: (row) => row,
    RentalEndRequested: (row) => row,
    RentalEnded: (row, { runSeconds, endedAt }, metadata) => ({ ...existing(row, metadata), runSeconds, endedAt }),
    InvoiceIssued: (row, { lines, total, released, issuedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'issued',
      lines: lines.map(({ seconds, amount, ...line }) => ({
        ...line,
        seconds: String(seconds),
        amount: String(amount.amount),
      })),
      total: total.amount,
      released: released.amount,
      issuedAt,
    }),
  },
})

const selectIssued = (db: ReadDatabase) =>
  db
    .selectFrom('Invoice')
    .selectAll()
    .where('status', '=', 'issued')
    .$narrowType<{ status: 'issued'; issuedAt: string }>()

/** Finds issued invoices with one query, in the order of the ids. */
export const findInvoices = findByIds<InvoiceRow>('invoices.find', selectIssued)

/** Finds one issued invoice. */
export const findInvoice = findOne(findInvoices)

export type InvoiceList = PageRequest & { readonly renter?: string | undefined }

/** Resolves to one page of issued invoices, the newest first. Throws INPUT_INVALID. */
export const listInvoices = (read: ReadModels, list: InvoiceList): Promise<Page<InvoiceRow>> => {
  const { renter } = list
  return newestFirst(read, 'invoices.list', list, 'issuedAt', (db) => whereEqual(selectIssued(db), { renter }))
}
