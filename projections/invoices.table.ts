import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Asset } from '../domain/money.ts'
import { amount, key, moment, readSchema, stamps } from './engine/table.ts'

/** A line of an invoice. It charges for the UsageMetered events from the first to the last. Integers are decimal text:
 *  JSON would lose cents. */
export type InvoiceLineJson = {
  readonly firstEventId: string
  readonly lastEventId: string
  readonly periods: number
  readonly description: string
  readonly seconds: string
  readonly amount: string
}

/** One invoice per rental, with the id of the rental. It is a draft until it is issued, and void when the rental never
 *  began: neither is shown. Money is in minor units of `asset`. */
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
export type InvoiceTableRow = InferEntity<typeof invoicesTable>
/** An issued invoice. */
export type InvoiceRow = InvoiceTableRow & { readonly status: 'issued'; readonly issuedAt: string }
