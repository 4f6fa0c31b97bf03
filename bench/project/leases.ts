import { defineEntity, p } from '@mikro-orm/postgresql'
import type { Event } from '../../domain/rental.ts'
import { existing, projection } from '../../projections/engine/projection.ts'
import { amount, key, stamps } from '../../projections/engine/table.ts'

export const leaseColumns =
  'id, status, renter, listing, gpu_count, run_seconds, meterings, asset, charged, position, updated_at'

/** Declares a read model for the benches alone: what a lease has cost so far. That is a sum over its events, so none of
 *  them may be left out. It has no index besides its key: the less the database has to do, the more our part of the
 *  work shows. Each `number` is another read model, in its own table. */
export const leases = (number: number) => {
  const tableName = `bench_leases_${number}`
  const table = defineEntity({
    name: `BenchLease${number}`,
    tableName,
    schema: 'read',
    properties: {
      id: key().primary(),
      status: p.text(),
      renter: key(),
      listing: key(),
      gpuCount: p.integer(),
      runSeconds: p.bigint('bigint'),
      meterings: p.integer(),
      asset: p.text(),
      charged: amount(),
      ...stamps(),
    },
  })
  const create = `create table read.${tableName} (
    id text collate "C" primary key, status text not null, renter text collate "C" not null,
    listing text collate "C" not null, gpu_count int not null, run_seconds bigint not null, meterings int not null,
    asset text not null, charged numeric(39,0) not null, position text collate "C" not null,
    updated_at timestamptz(3) not null)`
  return { tableName: `read.${tableName}`, create, projection: definition(`bench-leases-${number}`, table) }
}

type Lease = {
  readonly id: string
  readonly status: string
  readonly renter: string
  readonly listing: string
  readonly gpuCount: number
  readonly runSeconds: bigint
  readonly meterings: number
  readonly asset: string
  readonly charged: bigint
  readonly position: string
  readonly updatedAt: string
}

const definition = (name: string, table: Parameters<typeof projection>[0]['table']) =>
  projection<Event, Lease>({
    name,
    version: 1,
    table,
    key: (_, { id }) => id,
    fold: {
      RentalRequested: (_, { renter, listing, gpuCount, maxPricePerGpuHour }) => ({
        status: 'requested',
        renter,
        listing,
        gpuCount,
        runSeconds: 0n,
        meterings: 0,
        asset: maxPricePerGpuHour.asset,
        charged: 0n,
      }),
      RentalActivated: (row, _, metadata) => ({ ...existing(row, metadata), status: 'active' }),
      RentalRejected: (row, _, metadata) => ({ ...existing(row, metadata), status: 'rejected' }),
      UsageMetered: (row, { runSeconds, fee }, metadata) => {
        const lease = existing(row, metadata)
        return { ...lease, runSeconds, meterings: lease.meterings + 1, charged: lease.charged + fee.amount }
      },
      RentalJobAdmitted: (row) => row,
      RentalJobClosed: (row) => row,
      RentalEndRequested: (row, _, metadata) => ({ ...existing(row, metadata), status: 'ending' }),
      RentalEnded: (row, _, metadata) => ({ ...existing(row, metadata), status: 'ended' }),
      InvoiceIssued: (row, _, metadata) => ({ ...existing(row, metadata), status: 'settled' }),
    },
  })

/** Returns one number from all rows: the same number means the same rows. The store's id, in front of each position, is
 *  the same for all that read the same log. */
export const digestOf = (table: string): string =>
  `select ('x' || left(md5(string_agg(l::text, ' ' order by id collate "C")), 12))::bit(48)::bigint::text as digest,
     count(*)::text as rows from (select ${leaseColumns} from ${table}) l`
