import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { collectInvoiceLines } from './invoice-lines.ts'
import { usdc } from './money.testing.ts'
import type { Event } from './rental.ts'

const begin = '2026-01-01T22:00:00.000Z'
const beginMs = Date.parse(begin)
const requested: Event = {
  type: 'RentalRequested',
  listing: 'l',
  renter: 'ada',
  gpuCount: 2,
  seconds: 1_000_000n,
  maxPricePerGpuHour: usdc(10n),
  requestedAt: begin,
}
const activated: Event = {
  type: 'RentalActivated',
  provider: 'grace',
  gpu: 'H100',
  pricePerGpuHour: usdc(10n),
  held: usdc(100n),
  startedAt: begin,
  endsAt: '2026-02-01T00:00:00.000Z',
}
const metered = (runSeconds: bigint, fee: bigint, meteredAt: string): Event => ({
  type: 'UsageMetered',
  runSeconds,
  fee: usdc(fee),
  total: usdc(fee),
  meteredAt,
})
const linesOf = (events: readonly Event[]) => {
  const { add, lines } = collectInvoiceLines()
  for (const [index, event] of events.entries()) add(event, `e${index}`)
  return lines()
}

describe('the lines of an invoice', () => {
  test('are one for each UTC day in which something was charged', () => {
    const lines = linesOf([
      requested,
      activated,
      metered(300n, 5n, '2026-01-01T22:05:00.000Z'),
      { type: 'RentalJobAdmitted', job: 'j', graceSeconds: 1, admittedAt: begin },
      metered(600n, 6n, '2026-01-01T23:59:59.999Z'),
      metered(601n, 0n, '2026-01-02T00:00:00.000Z'),
      metered(900n, 7n, '2026-01-05T00:00:00.000Z'),
    ])
    expect(lines).toEqual([
      {
        firstEventId: 'e2',
        lastEventId: 'e4',
        periods: 2,
        description: '2 × H100 on 2026-01-01, second 1 to 600',
        seconds: 600n,
        amount: usdc(11n),
      },
      {
        firstEventId: 'e5',
        lastEventId: 'e5',
        periods: 1,
        description: '2 × H100 on 2026-01-02, second 601 to 601',
        seconds: 1n,
        amount: usdc(0n),
      },
      {
        firstEventId: 'e6',
        lastEventId: 'e6',
        periods: 1,
        description: '2 × H100 on 2026-01-05, second 602 to 900',
        seconds: 299n,
        amount: usdc(7n),
      },
    ])
  })

  test('of a rental that charged nothing are none', () => expect(linesOf([requested, activated])).toEqual([]))

  test('cover each period once, in the order of the stream, whatever the clocks say', () => {
    const period = fc.record({
      seconds: fc.bigInt(1n, 90_000n),
      fee: fc.bigInt(0n, 10n ** 30n),
      atMs: fc.integer({ min: 0, max: 5 * 86_400_000 }),
    })
    fc.assert(
      fc.property(fc.array(period), (periods) => {
        let ran = 0n
        const events = periods.map(({ seconds, fee, atMs }) => {
          ran += seconds
          return metered(ran, fee, new Date(beginMs + atMs).toISOString())
        })
        const lines = linesOf([requested, activated, ...events])
        expect(lines.reduce((sum, { amount }) => sum + amount.amount, 0n)).toBe(
          periods.reduce((sum, { fee }) => sum + fee, 0n),
        )
        expect(lines.reduce((sum, { seconds }) => sum + seconds, 0n)).toBe(ran)
        let next = 2
        for (const line of lines) {
          expect(line.firstEventId).toBe(`e${next}`)
          next += line.periods
          expect(line.lastEventId).toBe(`e${next - 1}`)
        }
        expect(next).toBe(2 + periods.length)
        const days = periods.map(({ atMs }) => new Date(beginMs + atMs).toISOString().slice(0, 10))
        expect(lines.length).toBeLessThanOrEqual(new Set(days).size)
      }),
    )
  })

  test('of half a million periods of five minutes are as many as days', () => {
    const { add, lines } = collectInvoiceLines()
    add(requested, 'r')
    add(activated, 'a')
    const periods = 430_000
    for (let period = 1; period <= periods; period += 1)
      add(metered(300n * BigInt(period), 1n, new Date(beginMs + 300_000 * period).toISOString()), `e${period}`)
    const found = lines()
    expect(found).toHaveLength(Math.ceil((periods * 300 + 22 * 3600) / 86_400))
    expect(found.reduce((sum, line) => sum + line.periods, 0)).toBe(periods)
    expect(found.reduce((sum, { amount }) => sum + amount.amount, 0n)).toBe(BigInt(periods))
  })
})
