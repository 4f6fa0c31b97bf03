import { z } from 'zod'
import { type Details, type Refusal, refuse } from '../domain/errors.ts'
import type { Offer } from '../domain/listing.ts'
import { type Money, money, parseAmount } from '../domain/money.ts'
import { readCsvRecords } from './csv-records.ts'

/** An offer of the file, with the number of its line. */
export type ReadOffer = { readonly line: number; readonly offer: Omit<Offer, 'provider'> }
export type RefusedLine = { readonly line: number; readonly refusal: Refusal }

const required = ['AcceleratorName', 'AcceleratorCount', 'vCPUs', 'MemoryGiB', 'GpuInfo', 'Price', 'Region'] as const
const linesMax = 10_000
/** About the size of a file of 10,000 lines: 100 characters each. */
export const csvCharactersMax = 1_048_576

/** Far above any machine, and small enough for a number to be exact. */
const memoryGibMax = 1_000_000

const text = z.string().refine((value) => !value.includes('\0'), 'holds a NUL character')
const wholeNumber = z
  .string()
  .regex(/^\d+(\.0+)?$/, 'takes a whole number')
  .transform(Number)
  .refine(Number.isSafeInteger, 'is too large')

/** Returns the memory of all GPUs: the total stands last where there is one; a single GPU entry holds the total of its
 *  kind. */
const gpuMemoryMib = (info: string): number =>
  Number([...info.matchAll(/'(?:SizeInMiB|TotalGpuMemoryInMiB)':\s*(\d+)/g)].at(-1)?.[1] ?? Number.NaN)

const row = z.object({
  AcceleratorName: text.trim().min(1, 'is empty'),
  AcceleratorCount: wholeNumber.refine((count) => count > 0, 'must be at least 1'),
  vCPUs: wholeNumber,
  MemoryGiB: z.coerce.number('takes a number').positive('must be above zero').max(memoryGibMax, 'is too large'),
  GpuInfo: z
    .string()
    .transform(gpuMemoryMib)
    .refine(Number.isSafeInteger, "takes {'Gpus': [{'MemoryInfo': {'SizeInMiB': …}}]}"),
  Price: z
    .string()
    .refine(
      (text) => (parseAmount(text, 'USDC/6')?.amount ?? 0n) > 0n,
      'takes a price above zero with at most 6 decimals',
    ),
  Region: text,
})

/** Reads a file in the SkyPilot catalog format (columns InstanceType, AcceleratorName, AcceleratorCount, vCPUs,
 *  MemoryGiB, GpuInfo, Price, SpotPrice, Region): Price is USD per hour of the whole machine, SizeInMiB the memory of
 *  all its GPUs. A line that cannot be read is refused under its number (the header is line 1); the other lines are
 *  read. Refuses the whole file with INPUT_INVALID when the header lacks a column. */
export const readOffers = (
  csv: string,
): { readonly offers: readonly ReadOffer[]; readonly refused: readonly RefusedLine[] } | Refusal => {
  const [header, ...records] = readCsvRecords(csv)
  const columns = header && 'fields' in header ? header.fields : []
  const missing = required.filter((column) => !columns.includes(column))
  if (missing.length > 0) return refuse('INPUT_INVALID', { csv: `the header lacks ${missing.join(', ')}` })
  if (records.length > linesMax) return refuse('INPUT_INVALID', { csv: `at most ${linesMax} lines` })
  const offers: ReadOffer[] = []
  const refused: RefusedLine[] = []
  const refuseLine = (line: number, details: Details) =>
    refused.push({ line, refusal: refuse('OFFER_LINE_INVALID', { line: String(line), ...details }) })
  for (const { line, ...record } of records) {
    if ('problem' in record) {
      refuseLine(line, { problem: record.problem })
      continue
    }
    const { fields } = record
    if (fields.length !== columns.length) {
      refuseLine(line, { problem: `${fields.length} columns, the header has ${columns.length}` })
      continue
    }
    const read = row.safeParse(Object.fromEntries(columns.map((column, index) => [column, fields[index]])))
    if (read.success) offers.push({ line, offer: toOffer(read.data) })
    else {
      const issue = read.error.issues[0]
      refuseLine(line, { column: String(issue?.path[0] ?? ''), problem: issue?.message ?? '' })
    }
  }
  return { offers, refused }
}

const toOffer = (read: z.infer<typeof row>): Omit<Offer, 'provider'> => {
  const gpuCount = read.AcceleratorCount
  return {
    gpu: read.AcceleratorName,
    gpuCount,
    vramMib: Math.floor(read.GpuInfo / gpuCount),
    vcpus: read.vCPUs,
    memoryMib: Math.round(read.MemoryGiB * 1024),
    region: read.Region.replace(/^[,\s]+/, ''),
    pricePerGpuHour: perGpu(parseAmount(read.Price, 'USDC/6') ?? money(0n, 'USDC/6'), BigInt(gpuCount)),
  }
}

/** Returns the price of one GPU, rounded up to a millionth of a dollar: all GPUs together never cost less than the
 *  machine. */
const perGpu = (machine: Money, gpuCount: bigint): Money =>
  money((machine.amount + gpuCount - 1n) / gpuCount, machine.asset)
