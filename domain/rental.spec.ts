import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { spec } from './decider.testing.ts'
import { usd, usdc } from './money.testing.ts'
import { costOf, times } from './money.ts'
import * as rental from './rental.ts'

const { given } = spec(rental)

const terms = {
  listing: 'listing-1',
  renter: 'ada',
  gpuCount: 2,
  seconds: 3600n,
  requestedAt: '2026-01-01T00:00:00.000Z',
}
const lease = {
  provider: 'grace',
  gpu: 'H100',
  pricePerGpuHour: usdc(1000n),
  startedAt: '2026-01-01T00:00:01.000Z',
  endsAt: '2026-01-01T01:00:01.000Z',
}
const at = '2026-01-01T00:10:00.000Z'

const request = { type: 'RequestRental', maxPricePerGpuHour: usdc(1500n), ...terms } satisfies rental.Command
const activate = { type: 'ActivateRental', held: usdc(2000n), ...lease } satisfies rental.Command
const reject = { type: 'RejectRental', code: 'LISTING_FULL', rejectedAt: at } satisfies rental.Command
const meter = (runSeconds: bigint) =>
  ({ type: 'MeterRental', runSeconds, meteredAt: at }) as const satisfies rental.Command
const end = (runSeconds: bigint, reason: rental.EndReason = 'returned') =>
  ({ type: 'EndRental', reason, runSeconds, endedAt: at }) as const satisfies rental.Command
const line = (amount: bigint, eventId = 'event-1', seconds = 7n): rental.InvoiceLine => ({
  firstEventId: eventId,
  lastEventId: eventId,
  periods: 1,
  description: 'H100 × 2',
  seconds,
  amount: usdc(amount),
})
const admit = (job: string, graceSeconds = 30) =>
  ({ type: 'AdmitJob', job, graceSeconds, admittedAt: at }) as const satisfies rental.Command
const close = (job: string, closedAt = at) => ({ type: 'CloseJob', job, closedAt }) as const satisfies rental.Command
const complete = (runSeconds: bigint) => ({ type: 'CompleteEnd', runSeconds }) as const satisfies rental.Command
const invoice = (...lines: rental.InvoiceLine[]) =>
  ({ type: 'IssueInvoice', lines, released: usdc(1997n), issuedAt: at }) as const satisfies rental.Command

const requested = { ...request, type: 'RentalRequested' } as const
const activated = { ...activate, type: 'RentalActivated' } as const
const rejected = { ...reject, type: 'RentalRejected' } as const
const metered = (runSeconds: bigint, fee: bigint, total: bigint) =>
  ({ type: 'UsageMetered', runSeconds, fee: usdc(fee), total: usdc(total), meteredAt: at }) as const
const ended = (runSeconds: bigint, charged: bigint, reason: rental.EndReason = 'returned') =>
  ({ type: 'RentalEnded', reason, runSeconds, charged: usdc(charged), endedAt: at }) as const
const admitted = (job: string, graceSeconds = 30) =>
  ({ ...admit(job, graceSeconds), type: 'RentalJobAdmitted' }) as const
const closed = (job: string, closedAt = at) => ({ ...close(job, closedAt), type: 'RentalJobClosed' }) as const
const endRequested = (billedUntil: string, reason: rental.EndReason = 'returned') =>
  ({ type: 'RentalEndRequested', reason, requestedAt: at, billedUntil }) as const
const invoiced = (total: bigint, ...lines: rental.InvoiceLine[]) =>
  ({ ...invoice(...lines), type: 'InvoiceIssued', total: usdc(total) }) as const

// Seven seconds of two GPUs at 1000 an hour: 14000 / 3600 is 3.89, so 3.
const sevenSeconds = metered(7n, 3n, 3n)
const history: Record<rental.State['status'], rental.Event[]> = {
  none: [],
  requested: [requested],
  rejected: [requested, rejected],
  active: [requested, activated],
  ending: [requested, activated, admitted('job-1'), endRequested('2026-01-01T00:10:30.000Z')],
  ended: [requested, activated, sevenSeconds, ended(7n, 3n)],
  settled: [requested, activated, sevenSeconds, ended(7n, 3n), invoiced(3n, line(3n))],
}

describe('none', () => {
  describe('RequestRental', () => {
    test('asks for a lease', () => given().when(request).then(requested))
    test('needs a GPU', () =>
      given()
        .when({ ...request, gpuCount: 0 })
        .refuses('RENTAL_INVALID', { gpuCount: '0' }))
    test('needs a second', () =>
      given()
        .when({ ...request, seconds: 0n })
        .refuses('RENTAL_INVALID', { seconds: '0' }))
    test('needs a maximum price', () =>
      given()
        .when({ ...request, maxPricePerGpuHour: usdc(0n) })
        .refuses('RENTAL_INVALID', { maxPricePerGpuHour: 'not above zero' }))
    test('takes one GPU for one second at one minor unit', () => {
      const least = { gpuCount: 1, seconds: 1n, maxPricePerGpuHour: usdc(1n) }
      given()
        .when({ ...request, ...least })
        .then({ ...requested, ...least })
    })
  })
})

describe('requested', () => {
  test('keeps what was asked for', () =>
    expect(given(requested).state).toStrictEqual({
      status: 'requested',
      maxPricePerGpuHour: usdc(1500n),
      ...terms,
    }))
  describe('ActivateRental', () => {
    test('starts the lease', () => given(requested).when(activate).then(activated))
    test('takes a price as high as the maximum', () => {
      const dearest = { pricePerGpuHour: usdc(1500n), held: usdc(3000n) }
      given(requested)
        .when({ ...activate, ...dearest })
        .then({ ...activated, ...dearest })
    })
    test('takes no price above the maximum', () =>
      given(requested)
        .when({ ...activate, pricePerGpuHour: usdc(1501n) })
        .refuses('PRICE_ABOVE_MAXIMUM'))
    test('takes no price in another asset', () =>
      given(requested)
        .when({ ...activate, pricePerGpuHour: usd(1n) })
        .refuses('PRICE_ABOVE_MAXIMUM'))
    test('takes its deadline, and does not store it', () =>
      given(requested)
        .when({ ...activate, notAfter: activate.startedAt })
        .then(activated))
    test('takes no start after its deadline', () => {
      const notAfter = '2026-01-01T00:00:00.999Z'
      given(requested)
        .when({ ...activate, notAfter })
        .refuses('DEADLINE_PASSED', { notAfter })
    })
  })
  test('RejectRental records why', () => given(requested).when(reject).then(rejected))
})

describe('rejected', () => {
  test('keeps the code', () =>
    expect(given(...history.rejected).state).toStrictEqual({ status: 'rejected', code: 'LISTING_FULL', ...terms }))
})

describe('active', () => {
  test('begins with nothing owed', () =>
    expect(given(...history.active).state).toStrictEqual({
      status: 'active',
      ...terms,
      ...lease,
      runSeconds: 0n,
      charged: usdc(0n),
      openJobs: new Map(),
    }))
  test('costs as much per hour as all of its GPUs together', () =>
    expect(rental.hourlyRate({ pricePerGpuHour: usdc(1000n), gpuCount: 2 })).toStrictEqual(usdc(2000n)))
  describe('MeterRental', () => {
    test('charges the floor of the run', () =>
      given(...history.active)
        .when(meter(7n))
        .then(sevenSeconds))
    test('charges the floor of the whole run less what was charged', () =>
      // 28000 / 3600 is 7.78, so 7: one more than twice the floor of seven seconds.
      given(...history.active, sevenSeconds)
        .when(meter(14n))
        .then(metered(14n, 4n, 7n)))
    test('counts a second that costs less than a minor unit', () =>
      given(...history.active)
        .when(meter(1n))
        .then(metered(1n, 0n, 0n)))
    test.each([7n, 6n, 0n, -1n])('adds nothing for a late or repeated report of %s s', (runSeconds) =>
      given(...history.active, sevenSeconds)
        .when(meter(runSeconds))
        .then(),
    )
    test('charges no second beyond those rented', () =>
      given(...history.active)
        .when(meter(3601n))
        .then(metered(3600n, 2000n, 2000n)))
  })
  describe('EndRental', () => {
    test('meters the rest and ends', () =>
      given(...history.active, sevenSeconds)
        .when(end(14n, 'expired'))
        .then(metered(14n, 4n, 7n), ended(14n, 7n, 'expired')))
    test('ends with what was metered when the report is late', () =>
      given(...history.active, sevenSeconds)
        .when(end(3n, 'expired'))
        .then(ended(7n, 3n, 'expired')))
    test('ends without a charge when nothing ran', () =>
      given(...history.active)
        .when(end(0n))
        .then(ended(0n, 0n)))
  })
})

describe('active with jobs', () => {
  const withJobs = given(...history.active, admitted('job-1'), admitted('job-2', 300))
  test('knows the jobs that may still run', () =>
    expect(given(...history.active, admitted('job-1'), admitted('job-2', 300), closed('job-1')).state).toMatchObject({
      status: 'active',
      openJobs: new Map([['job-2', 300]]),
    }))
  test('AdmitJob admits a job once', () => {
    given(...history.active)
      .when(admit('job-1'))
      .then(admitted('job-1'))
    withJobs.when(admit('job-1', 7)).then()
  })
  test('CloseJob closes a job that is open', () => {
    withJobs.when(close('job-1')).then(closed('job-1'))
    withJobs.when(close('job-3')).then()
  })
  describe('EndRental requests the end', () => {
    test('and is charged to the longest grace at most', () =>
      withJobs.when(end(14n)).then(endRequested('2026-01-01T00:15:00.000Z')))
    test('and never beyond the end of the lease', () => {
      const endedAt = '2026-01-01T01:00:00.500Z'
      withJobs
        .when({ ...end(14n, 'expired'), endedAt })
        .then({ ...endRequested(lease.endsAt, 'expired'), requestedAt: endedAt })
    })
    test('only while a job is open', () =>
      given(...history.active, admitted('job-1'), closed('job-1'))
        .when(end(7n))
        .then(sevenSeconds, ended(7n, 3n)))
  })
})

describe('ending', () => {
  const ending = given(...history.ending)
  const over = given(...history.ending, closed('job-1', '2026-01-01T00:10:07.000Z'))
  test.each([meter(7n), end(7n), admit('job-2')])('$type is refused', (command) =>
    ending.when(command).refuses('RENTAL_NOT_ACTIVE', { status: 'ending' }),
  )
  test('does not end before its last job', () => ending.when(complete(7n)).refuses('RENTAL_JOBS_OPEN', { jobs: '1' }))
  test('ends when its last job has ended', () => {
    ending.when(close('job-1')).then(closed('job-1'))
    over
      .when(complete(7n))
      .then(
        { ...sevenSeconds, meteredAt: '2026-01-01T00:10:07.000Z' },
        { ...ended(7n, 3n), endedAt: '2026-01-01T00:10:07.000Z' },
      )
  })
  test('never ends before the end was requested, whatever the clock of a cluster says', () =>
    given(...history.ending, closed('job-1', '2025-12-31T00:00:00.000Z'))
      .when(complete(0n))
      .then(ended(0n, 0n)))
  test('is charged at most to its last job, and to the bound of its request', () => {
    expect(rental.withinLease(over.state, '2026-01-01T00:20:00.000Z')).toBe('2026-01-01T00:10:07.000Z')
    const late = given(...history.ending, closed('job-1', '2026-01-01T00:19:00.000Z'))
    expect(rental.withinLease(late.state, '2026-01-01T00:20:00.000Z')).toBe('2026-01-01T00:10:30.000Z')
  })
  test('CompleteEnd is refused when no end was requested', () =>
    given(...history.active)
      .when(complete(7n))
      .refuses('RENTAL_NOT_ENDING', { status: 'active' }))
})

describe('ended', () => {
  test('keeps reason and usage', () =>
    expect(given(...history.ended).state).toStrictEqual({
      status: 'ended',
      reason: 'returned',
      ...terms,
      ...lease,
      runSeconds: 7n,
      charged: usdc(3n),
    }))
  describe('IssueInvoice', () => {
    test('cites what was charged', () =>
      given(...history.ended)
        .when(invoice(line(1n, 'event-1', 3n), line(2n, 'event-2', 4n)))
        .then(invoiced(3n, line(1n, 'event-1', 3n), line(2n, 'event-2', 4n))))
    test.each([6n, 8n])('does not settle lines of %s seconds for a run of 7', (seconds) =>
      given(...history.ended)
        .when(invoice(line(3n, 'event-1', seconds)))
        .refuses('RENTAL_SETTLEMENT_UNBALANCED', { seconds: String(seconds), run: '7' }),
    )
    test('has no line when nothing was charged', () =>
      given(...history.active, ended(0n, 0n))
        .when(invoice())
        .then(invoiced(0n)))
    test.each([2n, 4n])('does not settle lines of %s for a charge of 3', (amount) =>
      given(...history.ended)
        .when(invoice(line(amount)))
        .refuses('RENTAL_SETTLEMENT_UNBALANCED', { lines: String(amount), charged: '3' }),
    )
    test('does not settle lines of another asset', () =>
      given(...history.ended)
        .when(invoice({ ...line(3n), amount: usd(3n) }))
        .refuses('RENTAL_SETTLEMENT_UNBALANCED', { lines: '3', charged: '3' }))
  })
})

describe('settled', () => {
  test('keeps the usage', () =>
    expect(given(...history.settled).state).toStrictEqual({
      status: 'settled',
      ...terms,
      ...lease,
      runSeconds: 7n,
      charged: usdc(3n),
    }))
})

test.each([
  [activate, 'RENTAL_NOT_REQUESTED'],
  [reject, 'RENTAL_NOT_REQUESTED'],
  [meter(14n), 'RENTAL_NOT_ACTIVE'],
  [end(14n), 'RENTAL_NOT_ACTIVE'],
  [invoice(line(3n)), 'RENTAL_NOT_ENDED'],
] as const)('a refusal of $type names the status', (command, code) =>
  given(...history.settled)
    .when(command)
    .refuses(code, { status: 'settled' }),
)

test('a history that could not have happened is called corrupt', () => {
  const usage: rental.Event[] = [sevenSeconds, ended(7n, 3n)]
  given().cannotBeFollowedBy(activated, rejected, invoiced(3n), ...usage)
  given(...history.requested).cannotBeFollowedBy(requested, invoiced(3n), ...usage)
  given(...history.rejected).cannotBeFollowedBy(requested, activated, rejected, invoiced(3n), ...usage)
  given(...history.active).cannotBeFollowedBy(requested, activated, rejected, invoiced(3n))
  given(...history.ended).cannotBeFollowedBy(requested, activated, rejected, ...usage)
  given(...history.settled).cannotBeFollowedBy(requested, activated, rejected, invoiced(3n), ...usage)
})

test('metering in many steps charges what metering once does', () => {
  const run = fc.record({
    price: fc.bigInt(1n, 10n ** 20n),
    gpuCount: fc.integer({ min: 1, max: 64 }),
    seconds: fc.bigInt(1n, 100_000n),
    reports: fc.array(fc.bigInt(0n, 120_000n), { maxLength: 20 }),
    last: fc.bigInt(0n, 120_000n),
  })
  fc.assert(
    fc.property(run, ({ price, gpuCount, seconds, reports, last }) => {
      const start = [
        { ...requested, gpuCount, seconds },
        { ...activated, pricePerGpuHour: usdc(price) },
      ] as const
      const longest = [...reports, last].reduce((most, report) => (report > most ? report : most), 0n)
      const states = reports.map(meter).reduce<rental.State>(
        (state, command) => {
          const events = rental.decide(command, state)
          if (!Array.isArray(events)) throw new Error(`refused: ${events.refused}`)
          return events.reduce(rental.evolve, state)
        },
        given(...start).state,
      )
      const steps = rental.decide(end(last), states)
      const once = rental.decide(end(longest), given(...start).state)
      if (!Array.isArray(steps) || !Array.isArray(once)) throw new Error('refused')
      expect(steps.at(-1)).toStrictEqual(once.at(-1))
      const runSeconds = longest < seconds ? longest : seconds
      const charged = costOf(times(usdc(price), BigInt(gpuCount)), runSeconds)
      expect(once.at(-1)).toMatchObject({ type: 'RentalEnded', runSeconds, charged })
    }),
  )
})
