// One renter's lease of GPUs of one listing, by the second. Stream `rental-<id>`. requested → active → ended → settled,
// or requested → rejected. processes/rent-a-gpu.ts, meter.ts, end-rental.ts and settle.ts
// send the commands.
import { type ErrorCode, mustBe, type Refusal, refuse } from './errors.ts'
import { costOf, exceeds, type Money, money, subtract, times } from './money.ts'

/** Why a rental ended: the renter returned it, or its time was over. */
export type EndReason = 'returned' | 'expired'

/** `eventId` is the UsageMetered event that the line charges for. */
export type InvoiceLine = {
  readonly eventId: string
  readonly description: string
  readonly seconds: bigint
  readonly amount: Money
}

/** What a renter who named no listing asked for, and the listings that placement found then, the best first: each
 *  process that runs this request tries the same ones. */
export type Placement = {
  readonly gpu: string
  readonly vramMib?: number | undefined
  readonly region?: string | undefined
  readonly listings: readonly string[]
}

type Asked = { readonly maxPricePerGpuHour: Money; readonly placement?: Placement | undefined }
type Terms = {
  readonly listing: string
  readonly renter: string
  readonly gpuCount: number
  readonly seconds: bigint
  readonly requestedAt: string
}
type Lease = {
  readonly provider: string
  readonly gpu: string
  readonly pricePerGpuHour: Money
  readonly startedAt: string
  readonly endsAt: string
}
type Usage = { readonly runSeconds: bigint; readonly charged: Money }

/** `runSeconds` is the whole run that the heartbeats acknowledged, not the part since the last command. */
export type Command =
  | ({ readonly type: 'RequestRental' } & Asked & Terms)
  /** After `notAfter` it is refused; left out, it has no deadline. */
  | ({ readonly type: 'ActivateRental'; readonly held: Money; readonly notAfter?: string } & Lease)
  | { readonly type: 'RejectRental'; readonly code: ErrorCode; readonly rejectedAt: string }
  | { readonly type: 'MeterRental'; readonly runSeconds: bigint; readonly meteredAt: string }
  | { readonly type: 'EndRental'; readonly reason: EndReason; readonly runSeconds: bigint; readonly endedAt: string }
  | {
      readonly type: 'IssueInvoice'
      readonly lines: readonly InvoiceLine[]
      readonly released: Money
      readonly issuedAt: string
    }

export type Event =
  | ({ readonly type: 'RentalRequested' } & Asked & Terms)
  | ({ readonly type: 'RentalActivated'; readonly held: Money } & Lease)
  | { readonly type: 'RentalRejected'; readonly code: ErrorCode; readonly rejectedAt: string }
  | {
      readonly type: 'UsageMetered'
      readonly runSeconds: bigint
      readonly fee: Money
      readonly total: Money
      readonly meteredAt: string
    }
  | ({ readonly type: 'RentalEnded'; readonly reason: EndReason; readonly endedAt: string } & Usage)
  | {
      readonly type: 'InvoiceIssued'
      readonly lines: readonly InvoiceLine[]
      readonly total: Money
      readonly released: Money
      readonly issuedAt: string
    }

export type State =
  | { readonly status: 'none' }
  | ({ readonly status: 'requested'; readonly maxPricePerGpuHour: Money } & Terms)
  | ({ readonly status: 'rejected'; readonly code: ErrorCode } & Terms)
  | ({ readonly status: 'active' } & Terms & Lease & Usage)
  | ({ readonly status: 'ended'; readonly reason: EndReason } & Terms & Lease & Usage)
  | ({ readonly status: 'settled' } & Terms & Lease & Usage)

export const initial: State = { status: 'none' }

/** Returns the events that follow from a command, or a refusal. Pure: ids, times and the acknowledged run travel in the
 *  command. An empty list means nothing new. */
export function decide(command: Command, state: State): Event[] | Refusal {
  switch (command.type) {
    case 'RequestRental': {
      if (state.status !== 'none') return refuse('RENTAL_ALREADY_REQUESTED')
      if (command.gpuCount < 1) return refuse('RENTAL_INVALID', { gpuCount: String(command.gpuCount) })
      if (command.seconds < 1n) return refuse('RENTAL_INVALID', { seconds: String(command.seconds) })
      if (command.maxPricePerGpuHour.amount < 1n)
        return refuse('RENTAL_INVALID', { maxPricePerGpuHour: 'not above zero' })
      return [{ ...command, type: 'RentalRequested' }]
    }
    case 'ActivateRental': {
      if (state.status !== 'requested') return refuse('RENTAL_NOT_REQUESTED', { status: state.status })
      if (command.pricePerGpuHour.asset !== state.maxPricePerGpuHour.asset) return refuse('PRICE_ABOVE_MAXIMUM')
      if (exceeds(command.pricePerGpuHour, state.maxPricePerGpuHour)) return refuse('PRICE_ABOVE_MAXIMUM')
      const { notAfter, ...lease } = command
      if (notAfter !== undefined && lease.startedAt > notAfter) return refuse('DEADLINE_PASSED', { notAfter })
      return [{ ...lease, type: 'RentalActivated' }]
    }
    case 'RejectRental': {
      if (state.status !== 'requested') return refuse('RENTAL_NOT_REQUESTED', { status: state.status })
      return [{ ...command, type: 'RentalRejected' }]
    }
    case 'MeterRental': {
      if (state.status !== 'active') return refuse('RENTAL_NOT_ACTIVE', { status: state.status })
      return meter(state, command.runSeconds, command.meteredAt)
    }
    case 'EndRental': {
      if (state.status !== 'active') return refuse('RENTAL_NOT_ACTIVE', { status: state.status })
      const metered = meter(state, command.runSeconds, command.endedAt)
      const { runSeconds, charged } = metered.reduce(addUsage, state)
      return [
        ...metered,
        { type: 'RentalEnded', reason: command.reason, endedAt: command.endedAt, runSeconds, charged },
      ]
    }
    case 'IssueInvoice': {
      if (state.status !== 'ended') return refuse('RENTAL_NOT_ENDED', { status: state.status })
      const { asset } = state.charged
      const total = money(
        command.lines.reduce((sum, line) => sum + line.amount.amount, 0n),
        asset,
      )
      if (total.amount !== state.charged.amount || command.lines.some((line) => line.amount.asset !== asset))
        return refuse('RENTAL_SETTLEMENT_UNBALANCED', {
          lines: String(total.amount),
          charged: String(state.charged.amount),
        })
      return [{ ...command, type: 'InvoiceIssued', total }]
    }
  }
}

type Active = Extract<State, { status: 'active' }>
type Metered = Extract<Event, { type: 'UsageMetered' }>

/** Returns the charge since the last one: the floor of the whole run less what was charged before. A sum of floors
 *  would make the total depend on how often we meter. A run never exceeds the rented time, and a late or repeated
 *  report adds nothing. */
const meter = (rental: Active, acknowledged: bigint, meteredAt: string): Metered[] => {
  const runSeconds = acknowledged < rental.seconds ? acknowledged : rental.seconds
  if (runSeconds <= rental.runSeconds) return []
  const total = costOf(hourlyRate(rental), runSeconds)
  return [{ type: 'UsageMetered', runSeconds, fee: subtract(total, rental.charged), total, meteredAt }]
}

const addUsage = <Usable extends Usage>(rental: Usable, metered: Metered): Usable => ({
  ...rental,
  runSeconds: metered.runSeconds,
  charged: metered.total,
})

/** Folds one event. Throws only for a corrupt history, one that `decide` cannot produce. */
export function evolve(state: State, event: Event): State {
  switch (event.type) {
    case 'RentalRequested': {
      mustBe(state, 'none')
      const { type, placement, ...terms } = event
      return { status: 'requested', ...terms }
    }
    case 'RentalActivated': {
      const { maxPricePerGpuHour, ...terms } = mustBe(state, 'requested')
      const { type, held, ...lease } = event
      return { ...terms, ...lease, status: 'active', runSeconds: 0n, charged: money(0n, lease.pricePerGpuHour.asset) }
    }
    case 'RentalRejected': {
      const { maxPricePerGpuHour, ...terms } = mustBe(state, 'requested')
      return { ...terms, status: 'rejected', code: event.code }
    }
    case 'UsageMetered':
      return addUsage(mustBe(state, 'active'), event)
    case 'RentalEnded':
      return { ...mustBe(state, 'active'), status: 'ended', reason: event.reason }
    case 'InvoiceIssued': {
      const { reason, ...rental } = mustBe(state, 'ended')
      return { ...rental, status: 'settled' }
    }
  }
}

/** Returns `now`, but at most the end of the lease. A timer may fire late: time beyond the end was not rented, is
 *  not paid for, and does not make up for an earlier time without a heartbeat. */
export const withinLease = (state: State, now: string): string =>
  state.status === 'active' && state.endsAt < now ? state.endsAt : now

/** Returns what the rental costs per hour: all of its GPUs together. */
export const hourlyRate = ({ pricePerGpuHour, gpuCount }: { pricePerGpuHour: Money; gpuCount: number }): Money =>
  times(pricePerGpuHour, BigInt(gpuCount))
