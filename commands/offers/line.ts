import { gpuModelOf, gpuNameOf } from '../../domain/gpu-models.ts'
import type { Offer } from '../../domain/listing.ts'
import { formatAmount, type Money, money } from '../../domain/money.ts'
import { gpuMemoryOf } from './gpu-memory.ts'

/** The columns of the SkyPilot catalog format that an offer needs. */
export const requiredColumns = [
  'AcceleratorName',
  'AcceleratorCount',
  'vCPUs',
  'MemoryGiB',
  'GpuInfo',
  'Price',
  'Region',
] as const
export const columnsRead = [...requiredColumns, 'InstanceType', 'SpotPrice'] as const
type Column = (typeof columnsRead)[number]
/** The fields of a line by column; a column that the file lacks is empty. */
export type Fields = Readonly<Record<Column, string>>

export type Problem = { readonly column: Column; readonly problem: string }
/** `warnings`: what is listed as it stands, and is hardly meant so. */
export type ReadLine =
  | { readonly offer: Omit<Offer, 'provider'>; readonly warnings: readonly Problem[] }
  | Problem
  /** A machine without a GPU, or with an accelerator of another kind. */
  | 'no GPU'

/** Far above any machine, and small enough for a number to be exact. */
const memoryGibMax = 1_000_000
/** Above this, a number is more likely in another unit. */
const [memoryGibPlausible, vcpusPlausible] = [65_536, 4_096]
/** In millionths of a dollar, per GPU and hour. */
const [unitsPlausibleMin, unitsPlausibleMax] = [1_000n, 500_000_000n]
const numberCharactersMax = 60

/** Returns the value of a cell; empty for what programs write where a value is missing. */
const given = (text: string): string => text.trim().replace(/^(nan|none|null)$/i, '')
const otherAccelerator = /^(tpu|inferentia|trainium|neuron)/i

/** Returns the offer of one line, or the column that cannot be read. */
export const readLine = (fields: Fields): ReadLine => {
  const name = given(fields.AcceleratorName)
  const count = given(fields.AcceleratorCount)
  if ((name === '' && /^(0+(\.0*)?)?$/.test(count)) || otherAccelerator.test(name)) return 'no GPU'
  const broken = (column: Column, problem: string): Problem => ({ column, problem })
  for (const column of ['AcceleratorName', 'Region'] as const)
    if (fields[column].includes('\0')) return broken(column, 'holds a NUL character')
  if (name === '') return broken('AcceleratorName', 'is empty')

  if (!/^\d+(\.\d+)?$/.test(count)) return broken('AcceleratorCount', 'takes a whole number')
  if (/\.\d*[1-9]/.test(count))
    return broken('AcceleratorCount', 'takes a whole number: fractions of a GPU are not offered here')
  const gpuCount = Number(count)
  if (gpuCount < 1) return broken('AcceleratorCount', 'must be at least 1')
  if (!Number.isSafeInteger(gpuCount)) return broken('AcceleratorCount', 'is too large')
  if (!/^\d+(\.\d+)?$/.test(fields.vCPUs.trim())) return broken('vCPUs', 'takes a number')
  const vcpus = Math.floor(Number(fields.vCPUs))
  if (!Number.isSafeInteger(vcpus)) return broken('vCPUs', 'is too large')
  const memoryGib = Number(given(fields.MemoryGiB))
  if (Number.isNaN(memoryGib)) return broken('MemoryGiB', 'takes a number')
  if (memoryGib <= 0) return broken('MemoryGiB', 'must be above zero')
  if (memoryGib > memoryGibMax) return broken('MemoryGiB', 'is too large')

  const model = gpuModelOf(name)
  const memory = gpuMemoryOf(fields.GpuInfo, gpuCount, model)
  if (memory === undefined || memory.mib < 1)
    return broken(
      'GpuInfo',
      "does not say the memory, and that of this model is not known: takes {'Gpus': [{'MemoryInfo': {'SizeInMiB': …}}]}",
    )
  const price = priceOf(given(fields.Price), BigInt(gpuCount))
  if (typeof price === 'string') {
    const isSpot = typeof priceOf(given(fields.SpotPrice), 1n) !== 'string' && /^[0.]*$/.test(given(fields.Price))
    return broken(
      'Price',
      isSpot ? 'is empty: the machine has a spot price alone, and spot is not offered here' : price,
    )
  }
  const warnings = [
    ...(memory.warning ? [broken('GpuInfo', memory.warning)] : []),
    ...(vcpus > vcpusPlausible ? [broken('vCPUs', `is ${vcpus}, more than machines have`)] : []),
    ...(memoryGib > memoryGibPlausible
      ? [broken('MemoryGiB', `is ${memoryGib}, more than machines have; is the column in MiB?`)]
      : []),
    ...(price.amount < unitsPlausibleMin || price.amount > unitsPlausibleMax
      ? [broken('Price', `makes ${formatAmount(price)} USD per GPU and hour`)]
      : []),
  ]
  const offer = {
    gpu: gpuNameOf(name),
    gpuCount,
    vramMib: memory.mib,
    vcpus,
    memoryMib: Math.round(memoryGib * 1024),
    region: fields.Region.replace(/^[,\s]+/, ''),
    pricePerGpuHour: price,
  }
  return { offer, warnings }
}

const unitsPerUsd = 1_000_000n

/** Returns the price of one GPU, rounded up to a millionth of a dollar: all GPUs together never cost less than the
 *  machine. Takes decimals as programs write them, however many, with an exponent too; for what is no price above zero,
 *  returns what is wrong with it. */
const priceOf = (text: string, gpuCount: bigint): Money | string => {
  if (text === '') return 'is empty'
  const match = text.length > numberCharactersMax ? null : /^(\d{1,30})(?:\.(\d*))?(?:e([+-]?\d\d?))?$/i.exec(text)
  if (!match)
    return 'takes a decimal number alone, such as 2.65: at most 30 digits before the point, and of an exponent at most 2'
  const [, digits = '', decimals = '', exponent = '0'] = match
  const scale = decimals.length - Number(exponent)
  const machine = BigInt(digits + decimals) * unitsPerUsd * 10n ** BigInt(Math.max(0, -scale))
  const parts = gpuCount * 10n ** BigInt(Math.max(0, scale))
  return machine > 0n ? money((machine + parts - 1n) / parts, 'USDC/6') : 'takes a price above zero'
}
