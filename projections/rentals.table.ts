import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { ErrorCode } from '../domain/errors.ts'
import type { Asset } from '../domain/money.ts'
import type { EndReason, State } from '../domain/rental.ts'
import { amount, key, moment, readSchema, stamps } from './engine/table.ts'

export type RentalStatus = Exclude<State['status'], 'none'>

/** Leases of GPUs. Money is in minor units of `asset`; null means that it has not happened. */
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
    /** The rented time, and the time that it ran. */
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
    /** Jobs that may still run: a rental that is ending waits for them. */
    openJobs: p.integer().default(0),
    requestedAt: moment(),
    startedAt: moment().strictNullable(),
    endsAt: moment().strictNullable(),
    endRequestedAt: moment().strictNullable(),
    endedAt: moment().strictNullable(),
    settledAt: moment().strictNullable(),
    correlationId: key(),
    /** For lists as of a moment (rentals-as-of.ts): the position of the event that began each phase, and the latest
     *  time of the events up to it. `over` is rejected or ended. Null if an earlier version wrote the row, until it is
     *  built anew. */
    requestedPosition: key().strictNullable(),
    requestedBy: moment().strictNullable(),
    activePosition: key().strictNullable(),
    activeBy: moment().strictNullable(),
    endingPosition: key().strictNullable(),
    endingBy: moment().strictNullable(),
    overPosition: key().strictNullable(),
    overBy: moment().strictNullable(),
    settledPosition: key().strictNullable(),
    settledBy: moment().strictNullable(),
    latestTime: moment().strictNullable(),
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
