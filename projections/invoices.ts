import type { Event } from '../domain/rental.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type InvoiceRow, type InvoiceTableRow, invoicesTable } from './invoices.table.ts'
import { byIds, isMoment, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'

export const invoices = projection<Event, InvoiceTableRow>({
  name: 'invoices',
  version: 1,
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
    RentalActivated: (row, { provider, gpu, pricePerGpuHour, startedAt }, recorded) => ({
      ...existing(row, recorded),
      provider,
      gpu,
      pricePerGpuHour: pricePerGpuHour.amount,
      startedAt,
    }),
    RentalRejected: (row, _, recorded) => ({ ...existing(row, recorded), status: 'void' }),
    UsageMetered: (row) => row,
    RentalEnded: (row, { runSeconds, endedAt }, recorded) => ({ ...existing(row, recorded), runSeconds, endedAt }),
    InvoiceIssued: (row, { lines, total, released, issuedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'issued',
      lines: lines.map(({ eventId, description, seconds, amount }) => ({
        eventId,
        description,
        seconds: String(seconds),
        amount: String(amount.amount),
      })),
      total: total.amount,
      released: released.amount,
      issuedAt,
    }),
  },
})

const isIssued = (row: InvoiceTableRow): row is InvoiceRow => row.status === 'issued' && row.issuedAt !== null

/** Many issued invoices with one query, in the order asked. */
export const findInvoices = (read: ReadModels, ids: readonly string[]): Promise<(InvoiceRow | undefined)[]> =>
  byIds(ids, async (wanted) => {
    const rows = await read.run('invoices.find', (db) =>
      db.selectFrom('Invoice').selectAll().where('id', 'in', wanted).where('status', '=', 'issued').execute(),
    )
    return rows.filter(isIssued)
  })

export const findInvoice = async (read: ReadModels, id: string): Promise<InvoiceRow | undefined> =>
  (await findInvoices(read, [id]))[0]

export type InvoiceList = PageRequest & { readonly renter?: string | undefined }

/** Issued invoices, the newest first. Throws INPUT_INVALID. */
export const listInvoices = async (read: ReadModels, list: InvoiceList): Promise<Page<InvoiceRow>> => {
  const { renter } = list
  const [issuedAt, id] = readCursor(list.after, [isMoment, isText]) ?? []
  const rows = await read.run('invoices.list', (db) => {
    let found = db.selectFrom('Invoice').selectAll().where('status', '=', 'issued')
    if (renter !== undefined) found = found.where('renter', '=', renter)
    if (issuedAt !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('issuedAt', 'id'), '<', eb.tuple(issuedAt, id)))
    return found.orderBy('issuedAt', 'desc').orderBy('id', 'desc').limit(rowsToRead(list)).execute()
  })
  return pageOf(rows.filter(isIssued), list, (row) => [row.issuedAt, row.id])
}
