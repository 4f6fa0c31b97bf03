import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createCommands } from '../commands/execute.ts'
import { collectInvoiceLines } from '../domain/invoice-lines.ts'
import { usdc } from '../domain/money.testing.ts'
import type { Event } from '../domain/rental.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import { createSpecLog } from './engine/log.testing.ts'
import { listInvoicePeriods } from './invoice-periods.ts'
import { type Page, type PageRequest, pageRowsMax } from './page.ts'

const begin = '2026-01-01T12:00:00.000Z'
const day = (number: number) => new Date(Date.parse(begin) + number * 86_400_000).toISOString()

/** Returns a rental whose periods of each day have the given seconds, with events of jobs between them. */
const rentalOf = (days: readonly (readonly { readonly seconds: bigint; readonly jobs: number }[])[]): Event[] => {
  let ran = 0n
  return [
    {
      type: 'RentalRequested',
      listing: 'l',
      renter: 'ada',
      gpuCount: 1,
      seconds: 1_000_000n,
      maxPricePerGpuHour: usdc(10n),
      requestedAt: begin,
    },
    {
      type: 'RentalActivated',
      provider: 'grace',
      gpu: 'H100',
      pricePerGpuHour: usdc(10n),
      held: usdc(100n),
      startedAt: begin,
      endsAt: day(100),
    },
    ...days.flatMap((periods, number) =>
      periods.flatMap(({ seconds, jobs }): Event[] => {
        ran += seconds
        const meteredAt = day(number)
        return [
          ...Array.from({ length: jobs }, (_, job): Event => {
            return { type: 'RentalJobAdmitted', job: `${ran}-${job}`, graceSeconds: 1, admittedAt: meteredAt }
          }),
          { type: 'UsageMetered', runSeconds: ran, fee: usdc(seconds), total: usdc(ran), meteredAt },
        ]
      }),
    ),
  ]
}

const stored = async (events: readonly Event[]) => {
  const store = createMemoryEventStore()
  const log = createSpecLog(store)
  for (const event of events) await log.write('rental', 'r', event)
  const { history } = await createCommands({ store }).load('rental', 'r')
  const { add, lines } = collectInvoiceLines()
  for (const { event, eventId } of history) add(event, eventId)
  const json = lines().map((line) => ({
    ...line,
    seconds: String(line.seconds),
    amount: String(line.amount.amount),
  }))
  return { store, history, lines: json }
}

/** Reads all pages of a list, one after the other, and resolves to their rows. */
const readAllPages = async <Row>(readPage: (request: PageRequest) => Promise<Page<Row>>): Promise<readonly Row[]> => {
  const rows: Row[] = []
  let after: string | undefined
  do {
    const page = await readPage({ first: pageRowsMax, after })
    rows.push(...page.rows)
    after = page.hasNextPage ? page.endCursor : undefined
  } while (after)
  return rows
}

describe('the periods of the lines of an invoice', () => {
  test('are all metered periods, each once, with the seconds that it charges for, in pages of any size', async () => {
    const period = fc.record({ seconds: fc.bigInt(1n, 100n), jobs: fc.nat({ max: 40 }) })
    const days = fc.array(fc.array(period, { maxLength: 8 }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(days, fc.integer({ min: 1, max: 5 }), async (charged, first) => {
        const { store, history, lines } = await stored(rentalOf(charged))
        const found = []
        for (const [index, line] of lines.entries()) {
          const periods = await readAllPages((page) =>
            listInvoicePeriods(store, { rental: 'r', lines, line: index + 1 }, { ...page, first }),
          )
          expect(periods).toHaveLength(line.periods)
          expect([periods[0]?.eventId, periods.at(-1)?.eventId]).toEqual([line.firstEventId, line.lastEventId])
          found.push(...periods)
        }
        expect(found.map(({ seconds, amount }) => [seconds, amount.amount])).toEqual(
          charged.flat().map(({ seconds }) => [seconds, seconds]),
        )
        const metered = history.filter(({ event }) => event.type === 'UsageMetered')
        expect(found.map(({ eventId }) => eventId)).toEqual(metered.map(({ eventId }) => eventId))
      }),
      { numRuns: 40 },
    )
  })

  test('are found in a long stream by few reads', async () => {
    const days = Array.from({ length: 50 }, () => Array.from({ length: 200 }, () => ({ seconds: 1n, jobs: 0 })))
    const { store, lines } = await stored(rentalOf(days))
    let read = 0
    const counting = {
      readStream: async function* (...of: Parameters<typeof store.readStream>) {
        for await (const event of store.readStream(...of)) {
          read += 1
          yield event
        }
      },
    }
    const { rows } = await listInvoicePeriods(counting, { rental: 'r', lines, line: 40 }, { first: 10 })
    expect(rows.map(({ runSeconds }) => runSeconds)[0]).toBe(7801n)
    expect(read).toBeLessThan(50)
  })

  test('are found among 3,000 events of jobs by few reads', async () => {
    const { store, lines } = await stored(rentalOf([[{ seconds: 1n, jobs: 0 }], [{ seconds: 1n, jobs: 3_000 }]]))
    let reads = 0
    const counting = {
      readStream: (...of: Parameters<typeof store.readStream>) => {
        reads += 1
        return store.readStream(...of)
      },
    }
    const { rows } = await listInvoicePeriods(counting, { rental: 'r', lines, line: 2 }, { first: 10 })
    expect(rows.map(({ runSeconds }) => runSeconds)).toEqual([2n])
    expect(reads).toBeLessThan(60)
  })

  test('of no line, or after another place, are refused', async () => {
    const { store, lines } = await stored(rentalOf([[{ seconds: 5n, jobs: 1 }], [{ seconds: 5n, jobs: 0 }]]))
    const ask = (line: number, revision?: string) => {
      const after = revision && Buffer.from(JSON.stringify([revision])).toString('base64url')
      return listInvoicePeriods(store, { rental: 'r', lines, line }, { first: 1, after: after || undefined })
    }
    for (const line of [0, 3, -1, 1.5]) await expect(ask(line)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    // Neither what is no period, nor what is not there, nor a period of another line.
    for (const revision of ['0', '2', '99', '-1', '9'.repeat(90)])
      await expect(ask(1, revision)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(ask(2, '3')).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    expect(await ask(1, '3')).toMatchObject({ rows: [], hasNextPage: false })
  })
})
