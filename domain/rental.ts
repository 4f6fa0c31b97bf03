// One renter's lease of GPUs of one listing, by the second. Stream `rental-<id>`. requested → active → ended → settled,
// or requested → rejected. A rental whose jobs still run at its end is `ending` until the last of them has ended.
// processes/rent-a-gpu.ts, meter.ts, end-rental.ts and settle.ts send the commands.
import { type ErrorCode, mustBe, type Refusal, refuse } from './errors.ts'
import { costOf, exceeds, type Money, money, subtract, times } from './money.ts'
import { plusSeconds } from './time.ts'

/** Why a rental ended: the renter returned it, or its time was over. */
export type EndReason = 'returned' | 'expired'

/** A line charges for periods that follow one another, each a UsageMetered event: it cites the first and the last. */
export type InvoiceLine = {
  readonly firstEventId: string
  readonly lastEventId: string
  readonly periods: number
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
/** The jobs that may still run, each with the grace time that it has after SIGTERM. */
type Jobs = { readonly openJobs: ReadonlyMap<string, number> }

/** `runSeconds` is the whole run that the heartbeats acknowledged, not the part since the last command. AdmitJob comes
 *  before the job is submitted, so that a job and the end of its rental are in one order. */
export type Command =
  | ({ readonly type: 'RequestRental' } & Asked & Terms)
  /** After `notAfter` it is refused; left out, it has no deadline. */
  | ({ readonly type: 'ActivateRental'; readonly held: Money; readonly notAfter?: string } & Lease)
  | { readonly type: 'RejectRental'; readonly code: ErrorCode; readonly rejectedAt: string }
  | { readonly type: 'MeterRental'; readonly runSeconds: bigint; readonly meteredAt: string }
  | { readonly type: 'AdmitJob'; readonly job: string; readonly graceSeconds: number; readonly admittedAt: string }
  | { readonly type: 'CloseJob'; readonly job: string; readonly closedAt: string }
  | { readonly type: 'EndRental'; readonly reason: EndReason; readonly runSeconds: bigint; readonly endedAt: string }
  | { readonly type: 'CompleteEnd'; readonly runSeconds: bigint }
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
  | {
      readonly type: 'RentalJobAdmitted'
      readonly job: string
      readonly graceSeconds: number
      readonly admittedAt: string
    }
  | { readonly type: 'RentalJobClosed'; readonly job: string; readonly closedAt: string }
  | {
      readonly type: 'RentalEndRequested'
      readonly reason: EndReason
      readonly requestedAt: string
      readonly billedUntil: string
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
  | ({ readonly status: 'active' } & Terms & Lease & Usage & Jobs)
  /** `usedUntil` is when the last job ended so far, but not before the end was requested. Nothing after `billedUntil`
   *  is charged. */
  | ({
      readonly status: 'ending'
      readonly reason: EndReason
      readonly usedUntil: string
      readonly billedUntil: string
    } & Terms &
      Lease &
      Usage &
      Jobs)
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
      const { reason, runSeconds, endedAt } = command
      if (state.openJobs.size === 0) return end(state, reason, runSeconds, endedAt)
      const graceSeconds = Math.max(...state.openJobs.values())
      const billedUntil = earlier(plusSeconds(endedAt, graceSeconds), state.endsAt)
      return [{ type: 'RentalEndRequested', reason, requestedAt: endedAt, billedUntil }]
    }
    case 'CompleteEnd': {
      if (state.status !== 'ending') return refuse('RENTAL_NOT_ENDING', { status: state.status })
      if (state.openJobs.size > 0) return refuse('RENTAL_JOBS_OPEN', { jobs: String(state.openJobs.size) })
      return end(state, state.reason, command.runSeconds, state.usedUntil)
    }
    case 'AdmitJob': {
      if (state.status !== 'active') return refuse('RENTAL_NOT_ACTIVE', { status: state.status })
      if (state.openJobs.has(command.job)) return []
      return [{ ...command, type: 'RentalJobAdmitted' }]
    }
    case 'CloseJob':
      // A job that was admitted before rentals knew their jobs, or that was closed by another process.
      if (!('openJobs' in state) || !state.openJobs.has(command.job)) return []
      return [{ ...command, type: 'RentalJobClosed' }]
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
      const seconds = command.lines.reduce((sum, line) => sum + line.seconds, 0n)
      if (seconds !== state.runSeconds)
        return refuse('RENTAL_SETTLEMENT_UNBALANCED', { seconds: String(seconds), run: String(state.runSeconds) })
      return [{ ...command, type: 'InvoiceIssued', total }]
    }
  }
}

type Running = Extract<State, { status: 'active' | 'ending' }>
type Metered = Extract<Event, { type: 'UsageMetered' }>

/** Returns the charge since the last one: the floor of the whole run less what was charged before. A sum of floors
 *  would make the total depend on how often we meter. A run never exceeds the rented time, and a late or repeated
 *  report adds nothing. */
const meter = (rental: Running, acknowledged: bigint, meteredAt: string): Metered[] => {
  const runSeconds = acknowledged < rental.seconds ? acknowledged : rental.seconds
  if (runSeconds <= rental.runSeconds) return []
  const total = costOf(hourlyRate(rental), runSeconds)
  return [{ type: 'UsageMetered', runSeconds, fee: subtract(total, rental.charged), total, meteredAt }]
}

/** Returns the last charge and the end. */
const end = (rental: Running, reason: EndReason, acknowledged: bigint, endedAt: string): Event[] => {
  const metered = meter(rental, acknowledged, endedAt)
  const { runSeconds, charged } = metered.reduce(addUsage, rental)
  return [...metered, { type: 'RentalEnded', reason, endedAt, runSeconds, charged }]
}

const earlier = (one: string, other: string): string => (one < other ? one : other)

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
      const usage = { runSeconds: 0n, charged: money(0n, lease.pricePerGpuHour.asset) }
      return { ...terms, ...lease, ...usage, status: 'active', openJobs: new Map() }
    }
    case 'RentalRejected': {
      const { maxPricePerGpuHour, ...terms } = mustBe(state, 'requested')
      return { ...terms, status: 'rejected', code: event.code }
    }
    case 'UsageMetered':
      return addUsage(mustBe(state, 'active', 'ending'), event)
    case 'RentalJobAdmitted': {
      const rental = mustBe(state, 'active')
      return { ...rental, openJobs: new Map(rental.openJobs).set(event.job, event.graceSeconds) }
    }
    case 'RentalJobClosed': {
      const rental = mustBe(state, 'active', 'ending')
      const openJobs = new Map(rental.openJobs)
      openJobs.delete(event.job)
      if (rental.status === 'active') return { ...rental, openJobs }
      const usedUntil = event.closedAt > rental.usedUntil ? event.closedAt : rental.usedUntil
      return { ...rental, openJobs, usedUntil }
    }
    case 'RentalEndRequested': {
      const { reason, requestedAt: usedUntil, billedUntil } = event
      return { ...mustBe(state, 'active'), status: 'ending', reason, usedUntil, billedUntil }
    }
    case 'RentalEnded': {
      const { openJobs, ...rental } = mustBe(state, 'active', 'ending')
      if (rental.status === 'active') return { ...rental, status: 'ended', reason: event.reason }
      const { usedUntil, billedUntil, ...rest } = rental
      return { ...rest, status: 'ended', reason: event.reason }
    }
    case 'InvoiceIssued': {
      const { reason, ...rental } = mustBe(state, 'ended')
      return { ...rental, status: 'settled' }
    }
  }
}

/** Returns `now`, but at most the end of the time that is charged: that of the lease, or of the last job of a rental
 *  that is ending. A timer may fire late: time beyond the end was not rented, is not paid for, and does not make up for
 *  an earlier time without a heartbeat. */
export const withinLease = (state: State, now: string): string => {
  if (state.status === 'active') return earlier(now, state.endsAt)
  return state.status === 'ending' ? earlier(now, earlier(state.usedUntil, state.billedUntil)) : now
}

/** Returns what the rental costs per hour: all of its GPUs together. */
export const hourlyRate = ({ pricePerGpuHour, gpuCount }: { pricePerGpuHour: Money; gpuCount: number }): Money =>
  times(pricePerGpuHour, BigInt(gpuCount))
