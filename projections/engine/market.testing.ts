import type { AggregateName, DomainEvent } from '../../domain/aggregates.ts'
import { chart, posting } from '../../domain/ledger.ts'
import { usdc } from '../../domain/money.testing.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { at, type SpecLog } from './log.testing.ts'

/** A rental for specs, from the deposit to its end. `end` is the status that it reaches. */
export type RentalScenario = { readonly number: number; readonly end: 'rejected' | 'active' | 'settled' }
/** The events that a scenario writes to one stream. */
export type StreamEvents = {
  readonly name: AggregateName
  readonly id: string
  readonly events: readonly DomainEvent[]
}

const renterOf = (number: number) => `0xr${number % 7}`
const price = usdc(3_600_000n)
const held = usdc(7_200_000n)
const charge = usdc(600_000n)
const rest = usdc(6_600_000n)

/** Returns the streams that one scenario writes to. Scenarios share accounts, so one account has the events of
 *  several. */
export const streamsOf = ({ number, end }: RentalScenario): StreamEvents[] => {
  const rental = `r${number}`
  const renter = renterOf(number)
  const metered = `metered-${number}`
  const line = {
    firstEventId: metered,
    lastEventId: metered,
    periods: 1,
    description: '2 × H100',
    seconds: 300n,
    amount: charge,
  }
  const active = end !== 'rejected'
  const settled = end === 'settled'
  const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 64 }
  return [
    {
      name: 'payment',
      id: `p${number}`,
      events: [
        {
          type: 'DepositObserved',
          payment: `p${number}`,
          user: renter,
          amount: held,
          chainId: 31_337,
          transactionHash: `0xt${number}`,
          blockNumber: BigInt(number),
          blockHash: `0xb${number}`,
        },
        {
          type: 'DepositFinalized',
          user: renter,
          posting: posting(chart.custody(31_337), chart.depositTransit(`p${number}`), held),
        },
      ],
    },
    {
      name: 'account',
      id: renter,
      events: [
        {
          type: 'DepositCredited',
          user: renter,
          payment: `p${number}`,
          posting: posting(chart.depositTransit(`p${number}`), chart.available(renter), held),
        },
        ...when(active, {
          type: 'FundsHeld',
          user: renter,
          rental,
          posting: posting(chart.available(renter), chart.held(renter), held),
        }),
        ...when(!active, { type: 'HoldRefused', user: renter, rental, amount: held, code: 'INSUFFICIENT_FUNDS' }),
        ...when(
          settled,
          { type: 'HoldCaptured', rental, posting: posting(chart.held(renter), chart.rentalTransit(rental), charge) },
          { type: 'HoldReleased', rental, posting: posting(chart.held(renter), chart.available(renter), rest) },
        ),
      ],
    },
    {
      name: 'rental',
      id: rental,
      events: [
        {
          type: 'RentalRequested',
          listing: `l${number}`,
          renter,
          gpuCount: 2,
          seconds: 3600n,
          maxPricePerGpuHour: price,
          requestedAt: at(number),
        },
        ...when(!active, { type: 'RentalRejected', code: 'INSUFFICIENT_FUNDS', rejectedAt: at(number + 1) }),
        ...when(active, {
          type: 'RentalActivated',
          provider: '0xp',
          gpu: 'H100',
          pricePerGpuHour: price,
          held,
          startedAt: at(number + 1),
          endsAt: at(number + 3601),
        }),
        ...when(
          settled,
          { type: 'UsageMetered', runSeconds: 300n, fee: charge, total: charge, meteredAt: at(number + 301) },
          { type: 'RentalEnded', reason: 'returned', runSeconds: 300n, charged: charge, endedAt: at(number + 301) },
          { type: 'InvoiceIssued', lines: [line], total: charge, released: rest, issuedAt: at(number + 302) },
        ),
      ],
    },
    {
      name: 'listing',
      id: `l${number}`,
      events: [
        {
          type: 'GpusListed',
          provider: '0xp',
          gpu: 'H100',
          gpuCount: 8,
          vramMib: 81_559,
          vcpus: 32,
          memoryMib: 65_536,
          region: 'FR',
          pricePerGpuHour: price,
          listedAt: at(number),
        },
        { type: 'CapacityReserved', rental, gpuCount: 2, provider: '0xp', gpu: 'H100', pricePerGpuHour: price },
        ...when(end !== 'active', { type: 'CapacityFreed', rental, gpuCount: 2 }),
      ],
    },
    {
      name: 'job',
      id: `j${number}`,
      events: when(
        active,
        { type: 'JobSubmitted', rental, renter, ...program, submittedAt: at(number + 2) },
        { type: 'JobStarted', attempt: 1, cluster: 'process', startedAt: at(number + 3) },
        { type: 'JobProgressed', attempt: 1, percent: 33.3, message: 'on', reportedAt: at(number + 4) },
        ...when(settled, { type: 'JobSucceeded', attempt: 1, endedAt: at(number + 5) }),
      ),
    },
  ]
}

const when = (condition: boolean, ...events: DomainEvent[]): DomainEvent[] => (condition ? events : [])

/** Writes the scenarios interleaved: each number of `picks` chooses the stream of the next event. The events of one
 *  stream keep their order; the remaining ones are written at the end. */
export const writeRentals = async (
  log: SpecLog,
  scenarios: readonly RentalScenario[],
  picks: readonly number[],
): Promise<void> => {
  const remaining = scenarios.flatMap(streamsOf).map(({ name, id, events }) => ({ name, id, events: [...events] }))
  for (let pick = 0; remaining.length > 0; pick++) {
    const index = (picks[pick] ?? 0) % remaining.length
    const stream = remaining[index]
    const event = stream?.events.shift()
    if (stream && event) await log.write(stream.name, stream.id, event as never)
    if (stream?.events.length === 0) remaining.splice(index, 1)
  }
}

const ends = ['settled', 'active', 'rejected', 'settled'] as const

/** Writes rentals interleaved, five at a time, in an order that looks random and is always the same. Resolves to the
 *  head afterwards. */
export const writeMarket = async (log: SpecLog, count: number): Promise<Position> => {
  const scenarios = Array.from(
    { length: count },
    (_, number): RentalScenario => ({ number, end: ends[number % 4] ?? 'settled' }),
  )
  for (let first = 0; first < count; first += 5)
    await writeRentals(
      log,
      scenarios.slice(first, first + 5),
      Array.from({ length: 200 }, (_, pick) => (pick * 7919 + first * 31) % 97),
    )
  return log.store.head()
}

/** Writes the event with which a listing of eight GPUs begins. Resolves to its position. */
export const listGpus = (log: SpecLog, id: string): Promise<Position> => {
  const listed = streamsOf({ number: 0, end: 'settled' }).find(({ name }) => name === 'listing')?.events[0]
  if (listed?.type !== 'GpusListed') throw new Error('no listing')
  return log.write('listing', id, listed)
}
