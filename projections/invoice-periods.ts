import { streamOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { Money } from '../domain/money.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { decodeStored } from './engine/projection.ts'
import type { InvoiceLineJson } from './invoices.table.ts'
import { cursorOf, isInteger, type Page, type PageRequest, readCursor, rowsToRead } from './page.ts'

/** One UsageMetered event that an invoice charges for. `runSeconds` is the whole run at its end, `seconds` the part that
 *  it charges for. */
export type InvoicePeriod = {
  readonly eventId: string
  readonly revision: bigint
  readonly runSeconds: bigint
  readonly seconds: bigint
  readonly amount: Money
  readonly meteredAt: string
}

type Reader = Pick<EventStore, 'readStream'>
type Metered = Omit<InvoicePeriod, 'seconds'>

/** Returns what the cursor of a period holds. */
export const periodKey = ({ revision }: InvoicePeriod): readonly string[] => [String(revision)]

/** Resolves to one page of the periods that a line of an invoice charges for, in their order, read from the log. The
 *  events of a rental charge for a run that only grows, so the first of a line is found by halving, however long the
 *  stream is. Throws INPUT_INVALID for a number that no line has, or a cursor of something else.
 *  @param line counts from 1. */
export const listInvoicePeriods = async (
  store: Reader,
  {
    rental,
    lines,
    line,
  }: { readonly rental: string; readonly lines: readonly InvoiceLineJson[]; readonly line: number },
  page: PageRequest,
): Promise<Page<InvoicePeriod>> => {
  const rowsMax = rowsToRead(page)
  const charged = lines[line - 1]
  if (!charged) throw new Failure('INPUT_INVALID', { line: String(line), takes: `1 to ${lines.length}` })
  const begin = lines.slice(0, line - 1).reduce((sum, { seconds }) => sum + BigInt(seconds), 0n)
  const end = begin + BigInt(charged.seconds)
  const stream = streamOf('rental', rental)
  const [after] = readCursor(page.after, [isInteger]) ?? []
  const before = after === undefined ? undefined : await meteredAt(store, stream, BigInt(after), page.after)
  if (before && (before.runSeconds <= begin || before.runSeconds > end)) throw foreign(page.after)
  const from = before ? before.revision + 1n : await firstBeyond(store, stream, begin)
  const periods: InvoicePeriod[] = []
  let ran = before?.runSeconds ?? begin
  for await (const stored of ran < end ? store.readStream(stream, { from }) : []) {
    const metered = meteredOf(stored)
    if (!metered) continue
    periods.push({ ...metered, seconds: metered.runSeconds - ran })
    ran = metered.runSeconds
    if (ran >= end || periods.length === rowsMax) break
  }
  const rows = periods.slice(0, page.first)
  const last = rows.at(-1)
  return { rows, hasNextPage: periods.length > rows.length, endCursor: last && cursorOf(periodKey(last)) }
}

const foreign = (after: string | undefined) =>
  new Failure('INPUT_INVALID', { after: after ?? '', takes: 'the endCursor of an earlier page of this line' })

const meteredOf = (stored: Parameters<typeof decodeStored>[0]): Metered | undefined => {
  const { event } = decodeStored(stored)
  if (event.type !== 'UsageMetered') return undefined
  const { runSeconds, fee: amount, meteredAt } = event
  return { eventId: stored.id, revision: stored.revision, runSeconds, amount, meteredAt }
}

/** Resolves to the period at a revision. Throws INPUT_INVALID when something else is there. */
const meteredAt = async (
  store: Reader,
  stream: string,
  revision: bigint,
  after: string | undefined,
): Promise<Metered> => {
  if (revision >= 0n && revision <= revisionMax)
    for await (const stored of store.readStream(stream, { from: revision, limit: 1 })) {
      const metered = meteredOf(stored)
      if (metered?.revision === revision) return metered
    }
  throw foreign(after)
}

/** What PostgreSQL and JSON hold exactly, and far beyond any stream. */
const revisionMax = BigInt(Number.MAX_SAFE_INTEGER)

/** Resolves to the revision of the first period that charges for a run of more than these seconds. */
const firstBeyond = async (store: Reader, stream: string, seconds: bigint): Promise<bigint> => {
  let low = 0n
  let high = 0n
  for await (const { revision } of store.readStream(stream, { direction: 'backwards', limit: 1 })) high = revision
  while (low < high) {
    const middle = (low + high) / 2n
    const metered = await latestUntil(store, stream, middle, low)
    if (metered && metered.runSeconds > seconds) high = metered.revision
    else low = middle + 1n
  }
  return low
}

/** How many events are read at once in search of a period: few at first, for it is usually near; twice as many each
 *  time, for a rental has others too, such as those of its jobs. */
const searchEventsMin = 16
const searchEventsMax = 500

/** Resolves to the last period from one revision to another; undefined when there is none. */
const latestUntil = async (
  store: Reader,
  stream: string,
  until: bigint,
  since: bigint,
): Promise<Metered | undefined> => {
  let limit = searchEventsMin
  for (let from = until; from >= since; ) {
    for await (const stored of store.readStream(stream, { direction: 'backwards', from, limit })) {
      if (stored.revision < since) return undefined
      const metered = meteredOf(stored)
      if (metered) return metered
    }
    from -= BigInt(limit)
    limit = Math.min(limit * 2, searchEventsMax)
  }
  return undefined
}
