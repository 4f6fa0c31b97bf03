import { z } from 'zod'
import { aggregates } from '../domain/aggregates.ts'
import { type Details, type Refusal, refuse } from '../domain/errors.ts'
import { priceMax } from '../domain/events.ts'
import { refuseAboveLimits } from '../domain/limits.ts'
import type { Offer } from '../domain/listing.ts'
import { formatAmount, money } from '../domain/money.ts'
import { createBreather } from '../infra/async/breather.ts'
import { type CsvRecord, csvRecords, linesOf } from './csv-records.ts'
import type { Machine } from './derived-ids.ts'
import { type FormerOffer, formerOfferOf } from './offers/former.ts'
import { columnsRead, type Fields, readLine, requiredColumns } from './offers/line.ts'

export type { FormerOffer } from './offers/former.ts'

/** A line that names a machine (the header is line 1). */
export type MachineLine = {
  readonly line: number
  readonly machine: Machine
  /** How many lines before this one call their machine the same. */
  readonly copy: number
  /** How the line was read before machines were found by their names. */
  readonly former: FormerOffer | undefined
}

export type ReadOffer = MachineLine & { readonly offer: Omit<Offer, 'provider'> }
/** `named` is there where the line names a machine, though it cannot be listed. */
export type RefusedLine = { readonly line: number; readonly refusal: Refusal; readonly named?: MachineLine }
/** What is listed as it stands, and is hardly meant so. */
export type LineWarning = { readonly line: number; readonly warning: string }

export type ReadOffers = {
  readonly offers: readonly ReadOffer[]
  readonly refused: readonly RefusedLine[]
  readonly warnings: readonly LineWarning[]
  /** The number of lines with a machine that has no GPU. */
  readonly withoutGpu: number
}

/** The most lines of one text. A longer file is sent in parts. */
export const offerLinesMax = 10_000
/** About the size of a file of 10,000 lines: 100 characters each. */
export const csvCharactersMax = 1_048_576

/** Returns the function that gives the fields of a record by column; the columns may come in any order and case.
 *  Refuses INPUT_INVALID when one is missing. */
export const columnsOf = (header: CsvRecord | undefined): ((record: readonly string[]) => Fields) | Refusal => {
  const written = header && 'fields' in header ? header.fields.map((name) => name.toLowerCase()) : []
  const missing = requiredColumns.filter((column) => !written.includes(column.toLowerCase()))
  if (missing.length > 0) return refuse('INPUT_INVALID', { csv: `the header lacks ${missing.join(', ')}` })
  const places = columnsRead.map((column) => [column, written.lastIndexOf(column.toLowerCase())] as const)
  return (fields) => Object.fromEntries(places.map(([column, place]) => [column, fields[place] ?? ''])) as Fields
}

/** Returns what a line calls its machine: by this it is found again, whatever it costs and however it is read. */
export const machineOf = ({ InstanceType, AcceleratorName, AcceleratorCount, Region }: Fields): Machine => ({
  instanceType: InstanceType,
  model: AcceleratorName,
  count: AcceleratorCount.replace(/^(\d{1,15})\.0+$/, '$1'),
  region: Region,
})

/** Returns a text that is equal for two machines that are called the same. */
export const machineKey = ({ instanceType, model, count, region }: Machine): string =>
  JSON.stringify([instanceType, model, count, region])

/** Reads a file in the SkyPilot catalog format (columns InstanceType, AcceleratorName, AcceleratorCount, vCPUs,
 *  MemoryGiB, GpuInfo, Price, SpotPrice, Region), as each cloud writes it: Price is USD per hour of the whole machine;
 *  docs/offers.md has the readings. A line that cannot be read is refused under its number; the other lines are read.
 *  Refuses the whole text with INPUT_INVALID when the header lacks a column, or for more lines than `offerLinesMax`. Lets
 *  other work run in between.
 *  @param part where the text stands in a longer file, and how many records of earlier parts call their machine the same,
 *  for each record of this one. */
export const readOffers = async (
  csv: string,
  part: { readonly firstLine: number; readonly equalsBefore: readonly number[] } = { firstLine: 2, equalsBefore: [] },
): Promise<ReadOffers | Refusal> => {
  const records = csvRecords(linesOf(csv))
  const header = records.next().value ?? undefined
  const fieldsOf = columnsOf(header)
  if (typeof fieldsOf !== 'function') return fieldsOf
  const columns = header && 'fields' in header ? header.fields.length : 0
  const offers: ReadOffer[] = []
  const refused: RefusedLine[] = []
  const warnings: LineWarning[] = []
  let [withoutGpu, read] = [0, 0]
  const breathe = createBreather()
  const copies = new Map<string, number>()
  for (const { line: ownLine, lines, ...record } of records) {
    if (++read > offerLinesMax) return refuse('INPUT_INVALID', { csv: `at most ${offerLinesMax} lines` })
    await breathe()
    const line = ownLine - 2 + part.firstLine
    const refuseLine = (details: Details, named?: MachineLine) => {
      const refusal = refuse('OFFER_LINE_INVALID', { line: String(line), ...details })
      refused.push({ line, refusal, ...(named && { named }) })
    }
    if ('problem' in record) {
      refuseLine({ problem: record.problem })
      continue
    }
    if (record.fields.length !== columns) {
      refuseLine({ problem: `${record.fields.length} columns, the header has ${columns}` })
      continue
    }
    const fields = fieldsOf(record.fields)
    const answer = readLine(fields)
    const machine = machineOf(fields)
    const name = machineKey(machine)
    const copy = (part.equalsBefore[read - 1] ?? 0) + (copies.get(name) ?? 0)
    copies.set(name, (copies.get(name) ?? 0) + 1)
    const named = { line, machine, copy, former: formerOfferOf(fields) }
    if (answer === 'no GPU') withoutGpu += 1
    else if ('problem' in answer) refuseLine(answer, named)
    else {
      const exceeded = refuseAboveLimits(offerSchema, answer.offer)
      if (exceeded) {
        refuseLine(columnDetails(exceeded.details), named)
        continue
      }
      offers.push({ ...named, offer: answer.offer })
      for (const { column, problem } of answer.warnings) warnings.push({ line, warning: `${column} ${problem}` })
    }
  }
  return { offers, refused, warnings, withoutGpu }
}

const { gpu, gpuCount, vramMib, vcpus, memoryMib, region, pricePerGpuHour } = aggregates.listing.commandFields
const offerSchema = z.object({ gpu, gpuCount, vramMib, vcpus, memoryMib, region, pricePerGpuHour })

/** Where the file has each field of an offer. */
const columnOf: Readonly<Record<string, (typeof columnsRead)[number]>> = {
  gpu: 'AcceleratorName',
  gpuCount: 'AcceleratorCount',
  vramMib: 'GpuInfo',
  vcpus: 'vCPUs',
  memoryMib: 'MemoryGiB',
  region: 'Region',
}

/** Returns which column exceeds the limit of its field, what the field takes, and what the file has there. */
const columnDetails = ({ takes = '', ...given }: Details): Details => {
  const [[field, value] = ['', '']] = Object.entries(given)
  // The limit counts minor units, and the file has dollars.
  if (field === 'pricePerGpuHour.amount')
    return {
      column: 'Price',
      problem: `makes more than ${formatAmount(money(priceMax, 'USDC/6'))} USD per GPU and hour`,
    }
  return { column: columnOf[field] ?? field, problem: `takes ${takes}`, given: value }
}
