import {
  type PeerMessage,
  pongoSingleStreamProjection,
  rebuildPostgreSQLProjections,
} from '@event-driven-io/emmett-postgresql'
import { withPeer } from '../peer.ts'
import type { Outcome, Task } from '../task.ts'

type Parameters = { readonly events: number; readonly batchSize: number; readonly round: number }

type Lease = {
  readonly status: string
  readonly renter: string
  readonly listing: string
  readonly gpuCount: number
  readonly runSeconds: string
  readonly meterings: number
  readonly charged: string
}

const canHandle = [
  'RentalRequested',
  'RentalActivated',
  'RentalRejected',
  'UsageMetered',
  'RentalEnded',
  'InvoiceIssued',
]

const evolve = (lease: Lease | null, { type, data }: PeerMessage): Lease | null => {
  if (type === 'RentalRequested') {
    const { renter, listing, gpuCount } = data as { renter: string; listing: string; gpuCount: number }
    return { status: 'requested', renter, listing, gpuCount, runSeconds: '0', meterings: 0, charged: '0' }
  }
  if (lease === null) return null
  if (type !== 'UsageMetered') return { ...lease, status: type }
  const { runSeconds, fee } = data as { runSeconds: string; fee: { amount: string } }
  const charged = String(BigInt(lease.charged) + BigInt(fee.amount))
  return { ...lease, runSeconds, meterings: lease.meterings + 1, charged }
}

/** Measures Emmett's rebuild of an asynchronous projection, as its benchmark does it, with our batch size. */
export const contestant = async ({ url, parameters }: Task<Parameters>): Promise<Outcome> => {
  let folded = 0
  const projection = pongoSingleStreamProjection<Lease>({
    collectionName: `leases_${parameters.round}`,
    canHandle,
    evolve: (lease, message) => {
      folded += 1
      return evolve(lease, message)
    },
  })
  return withPeer(url, async () => {
    const consumer = rebuildPostgreSQLProjections({
      connectionString: url,
      projections: [projection],
      pulling: { batchSize: parameters.batchSize, pullingFrequencyInMs: 1 },
    })
    const began = performance.now()
    await consumer.start()
    const tookMs = performance.now() - began
    await consumer.close()
    if (folded !== parameters.events) throw new Error(`${folded} events were folded, not ${parameters.events}`)
    return { eventsPerSecond: (folded * 1000) / tookMs }
  })
}
