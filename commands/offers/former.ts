import { z } from 'zod'

/** What a line said in the eyes of the import before machines were found by their names, all but the price. The ids of
 *  what it listed are made of this, so this reading never changes. */
export type FormerOffer = {
  readonly gpu: string
  readonly gpuCount: number
  readonly vramMib: number
  readonly vcpus: number
  readonly memoryMib: number
  readonly region: string
}

const memoryGibMax = 1_000_000
const wholeNumber = z
  .string()
  .regex(/^\d+(\.0+)?$/)
  .transform(Number)
  .refine(Number.isSafeInteger)

const gpuMemoryMib = (info: string): number =>
  Number([...info.matchAll(/'(?:SizeInMiB|TotalGpuMemoryInMiB)':\s*(\d+)/g)].at(-1)?.[1] ?? Number.NaN)

const row = z.object({
  AcceleratorName: z.string().trim().min(1),
  AcceleratorCount: wholeNumber.refine((count) => count > 0),
  vCPUs: wholeNumber,
  MemoryGiB: z.coerce.number().positive().max(memoryGibMax),
  GpuInfo: z.string().transform(gpuMemoryMib).refine(Number.isSafeInteger),
  Region: z.string(),
})

/** Returns how a line was read before; undefined where it was refused. */
export const formerOfferOf = (fields: Readonly<Record<string, string>>): FormerOffer | undefined => {
  const read = row.safeParse(fields)
  if (!read.success) return undefined
  const { AcceleratorName, AcceleratorCount, vCPUs, MemoryGiB, GpuInfo, Region } = read.data
  return {
    gpu: AcceleratorName,
    gpuCount: AcceleratorCount,
    vramMib: Math.floor(GpuInfo / AcceleratorCount),
    vcpus: vCPUs,
    memoryMib: Math.round(MemoryGiB * 1024),
    region: Region.replace(/^[,\s]+/, ''),
  }
}
