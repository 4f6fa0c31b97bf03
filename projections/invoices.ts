import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Asset } from '../domain/money.ts'
import type { Event } from '../domain/rental.ts'
import type { ReadModels } from './database.ts'
import { byIds, isMoment, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { existing, projection } from './projection.ts'
import { amount, key, moment, readSchema, stamps } from './table.ts'

/** `eventId` is the UsageMetered event that the line charges for. Whole numbers are decimal text: JSON would lose cents. */
export type InvoiceLineJson = {
  readonly eventId: string
  readonly description: string
  readonly seconds: string
  readonly amount: string
}

/** One invoice per rental, under the rental's id. A draft until it is issued, void when the rental never began: neither is
 *  shown. Money is in minor units of `asset`. */
export const invoicesTable = defineEntity({
  name: 'Invoice',
  tableName: 'invoices',
  schema: readSchema,
  properties: {
    id: key().primary(),
    status: p.text().$type<'draft' | 'issued' | 'void'>(),
    renter: key(),
    provider: key().strictNullable(),
    listing: key(),
    gpu: p.text().strictNullable(),
    gpuCount: p.integer(),
    pricePerGpuHour: amount().strictNullable(),
    runSeconds: p.bigint('bigint'),
    lines: p.json<readonly InvoiceLineJson[]>(),
    total: amount(),
    released: amount(),
    asset: p.text().$type<Asset>(),
    startedAt: moment().strictNullable(),
    endedAt: moment().strictNullable(),
    issuedAt: moment().strictNullable(),
    ...stamps(),
  },
  indexes: [{ properties: ['issuedAt', 'id'] }, { properties: ['renter', 'issuedAt', 'id'] }],
})
type InvoiceTableRow = InferEntity<typeof invoicesTable>
export type InvoiceRow = InvoiceTableRow & { readonly status: 'issued'; readonly issuedAt: string }

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
