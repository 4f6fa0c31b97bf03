import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { ErrorCode } from '../domain/errors.ts'
import type { Asset } from '../domain/money.ts'
import type { EndReason, Event, State } from '../domain/rental.ts'
import type { ReadModels } from './database.ts'
import { byIds, isMoment, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { existing, projection } from './projection.ts'
import { amount, key, moment, readSchema, stamps } from './table.ts'

export type RentalStatus = Exclude<State['status'], 'none'>

/** Leases of GPUs. Money is in minor units of `asset`; what is null has not happened (yet). */
export const rentalsTable = defineEntity({
  name: 'Rental',
  tableName: 'rentals',
  schema: readSchema,
  properties: {
    id: key().primary(),
    status: p.text().$type<RentalStatus>(),
    renter: key(),
    provider: key().strictNullable(),
    listing: key(),
    gpu: p.text().strictNullable(),
    gpuCount: p.integer(),
    /** How long it was rented for, and how long it ran. */
    seconds: p.bigint('bigint'),
    runSeconds: p.bigint('bigint'),
    asset: p.text().$type<Asset>(),
    maxPricePerGpuHour: amount(),
    pricePerGpuHour: amount().strictNullable(),
    held: amount().strictNullable(),
    charged: amount(),
    released: amount().strictNullable(),
    refusal: p.text().$type<ErrorCode>().strictNullable(),
    endReason: p.text().$type<EndReason>().strictNullable(),
    requestedAt: moment(),
    startedAt: moment().strictNullable(),
    endsAt: moment().strictNullable(),
    endedAt: moment().strictNullable(),
    settledAt: moment().strictNullable(),
    correlationId: key(),
    ...stamps(),
  },
  indexes: [
    { properties: ['requestedAt', 'id'] },
    { properties: ['renter', 'requestedAt', 'id'] },
    { properties: ['provider', 'requestedAt', 'id'] },
    { properties: ['status', 'requestedAt', 'id'] },
  ],
})
export type RentalRow = InferEntity<typeof rentalsTable>

export const rentals = projection<Event, RentalRow>({
  name: 'rentals',
  version: 1,
  table: rentalsTable,
  key: (_, { id }) => id,
  fold: {
    RentalRequested: (_, { type, maxPricePerGpuHour, ...terms }, { correlationId }) => ({
      ...terms,
      status: 'requested',
      provider: null,
      gpu: null,
      runSeconds: 0n,
      asset: maxPricePerGpuHour.asset,
      maxPricePerGpuHour: maxPricePerGpuHour.amount,
      pricePerGpuHour: null,
      held: null,
      charged: 0n,
      released: null,
      refusal: null,
      endReason: null,
      startedAt: null,
      endsAt: null,
      endedAt: null,
      settledAt: null,
      correlationId,
    }),
    RentalActivated: (row, { type, pricePerGpuHour, held, ...lease }, recorded) => ({
      ...existing(row, recorded),
      ...lease,
      status: 'active',
      pricePerGpuHour: pricePerGpuHour.amount,
      held: held.amount,
    }),
    RentalRejected: (row, { code, rejectedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'rejected',
      refusal: code,
      endedAt: rejectedAt,
    }),
    UsageMetered: (row, { runSeconds, total }, recorded) => ({
      ...existing(row, recorded),
      runSeconds,
      charged: total.amount,
    }),
    RentalEnded: (row, { reason, runSeconds, charged, endedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'ended',
      endReason: reason,
      runSeconds,
      charged: charged.amount,
      endedAt,
    }),
    InvoiceIssued: (row, { released, issuedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'settled',
      released: released.amount,
      settledAt: issuedAt,
    }),
  },
})

/** Many rentals with one query, in the order asked. */
export const findRentals = (read: ReadModels, ids: readonly string[]): Promise<(RentalRow | undefined)[]> =>
  byIds(ids, (wanted) =>
    read.run('rentals.find', (db) => db.selectFrom('Rental').selectAll().where('id', 'in', wanted).execute()),
  )

export const findRental = async (read: ReadModels, id: string): Promise<RentalRow | undefined> =>
  (await findRentals(read, [id]))[0]

export type RentalList = PageRequest & {
  readonly renter?: string | undefined
  readonly provider?: string | undefined
  readonly status?: RentalStatus | undefined
}

/** Rentals, the newest first. Throws INPUT_INVALID. */
export const listRentals = async (read: ReadModels, list: RentalList): Promise<Page<RentalRow>> => {
  const { renter, provider, status } = list
  const [requestedAt, id] = readCursor(list.after, [isMoment, isText]) ?? []
  const rows = await read.run('rentals.list', (db) => {
    let found = db.selectFrom('Rental').selectAll()
    if (renter !== undefined) found = found.where('renter', '=', renter)
    if (provider !== undefined) found = found.where('provider', '=', provider)
    if (status !== undefined) found = found.where('status', '=', status)
    if (requestedAt !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('requestedAt', 'id'), '<', eb.tuple(requestedAt, id)))
    return found.orderBy('requestedAt', 'desc').orderBy('id', 'desc').limit(rowsToRead(list)).execute()
  })
  return pageOf(rows, list, (row) => [row.requestedAt, row.id])
}
