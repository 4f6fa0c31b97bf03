import { parse } from 'csv-parse/sync'
import { z } from 'zod'
import { type Refusal, refuse } from '../domain/errors.ts'
import type { Offer } from '../domain/listing.ts'
import { type Money, money, parseAmount } from '../domain/money.ts'

/** One offer of the file, under the number of its line. */
export type ReadOffer = { readonly line: number; readonly offer: Omit<Offer, 'provider'> }
export type RefusedLine = { readonly line: number; readonly refusal: Refusal }

const required = ['AcceleratorName', 'AcceleratorCount', 'vCPUs', 'MemoryGiB', 'GpuInfo', 'Price', 'Region'] as const
const linesMax = 10_000

const wholeNumber = z
  .string()
  .regex(/^\d+(\.0+)?$/, 'takes a whole number')
  .transform(Number)
const row = z.object({
  AcceleratorName: z.string().trim().min(1, 'is empty'),
  AcceleratorCount: wholeNumber.refine((count) => count > 0, 'must be at least 1'),
  vCPUs: wholeNumber,
  MemoryGiB: z.coerce.number('takes a number').positive('must be above zero'),
  GpuInfo: z.string().regex(/'SizeInMiB':\s*\d+/, "takes {'Gpus': [{'MemoryInfo': {'SizeInMiB': …}}]}"),
  Price: z
    .string()
    .refine(
      (text) => (parseAmount(text, 'USDC/6')?.amount ?? 0n) > 0n,
      'takes a price above zero with at most 6 decimals',
    ),
  Region: z.string(),
})

/** Reads a file in the SkyPilot catalog format (columns InstanceType, AcceleratorName, AcceleratorCount, vCPUs, MemoryGiB,
 *  GpuInfo, Price, SpotPrice, Region): Price is USD per hour of the whole machine, SizeInMiB the memory of all its GPUs.
 *  A line that cannot be read is refused by its number (the header is line 1); the others are read all the same.
 *  Refuses the whole file with INPUT_INVALID when the header lacks a column. */
export const readOffers = (
  csv: string,
): { readonly offers: readonly ReadOffer[]; readonly refused: readonly RefusedLine[] } | Refusal => {
  const [header, ...records] = parse(csv, {
    bom: true,
    info: true,
    relaxColumnCount: true,
    relaxQuotes: true,
    skipEmptyLines: true,
    trim: true,
  }) as unknown as {
    readonly record: readonly string[]
    readonly info: { readonly lines: number }
  }[]
  const missing = required.filter((column) => !header?.record.includes(column))
  if (!header || missing.length > 0) return refuse('INPUT_INVALID', { csv: `the header lacks ${missing.join(', ')}` })
  if (records.length > linesMax) return refuse('INPUT_INVALID', { csv: `at most ${linesMax} lines` })
  const offers: ReadOffer[] = []
  const refused: RefusedLine[] = []
  for (const { record, info } of records) {
    const line = info.lines
    if (record.length !== header.record.length) {
      refused.push({
        line,
        refusal: refuse('OFFER_LINE_INVALID', {
          line: String(line),
          problem: `${record.length} columns, the header has ${header.record.length}`,
        }),
      })
      continue
    }
    const read = row.safeParse(Object.fromEntries(header.record.map((column, index) => [column, record[index]])))
    if (read.success) offers.push({ line, offer: toOffer(read.data) })
    else {
      const issue = read.error.issues[0]
      refused.push({
        line,
        refusal: refuse('OFFER_LINE_INVALID', {
          line: String(line),
          column: String(issue?.path[0] ?? ''),
          problem: issue?.message ?? '',
        }),
      })
    }
  }
  return { offers, refused }
}

const toOffer = (read: z.infer<typeof row>): Omit<Offer, 'provider'> => {
  const gpuCount = read.AcceleratorCount
  // The total stands last in GpuInfo where there is one; a single GPU entry carries the total of its kind.
  const sizes = [...read.GpuInfo.matchAll(/'(SizeInMiB|TotalGpuMemoryInMiB)':\s*(\d+)/g)].map((match) =>
    Number(match[2]),
  )
  return {
    gpu: read.AcceleratorName,
    gpuCount,
    vramMib: Math.floor((sizes.at(-1) ?? 0) / gpuCount),
    vcpus: read.vCPUs,
    memoryMib: Math.round(read.MemoryGiB * 1024),
    region: read.Region.replace(/^[,\s]+/, ''),
    pricePerGpuHour: perGpu(parseAmount(read.Price, 'USDC/6') ?? money(0n, 'USDC/6'), BigInt(gpuCount)),
  }
}

/** Rounded up to a millionth of a dollar, so that all GPUs together never cost less than the machine. */
const perGpu = (machine: Money, gpuCount: bigint): Money =>
  money((machine.amount + gpuCount - 1n) / gpuCount, machine.asset)
