import { type GpuModel, isPlausible } from '../../domain/gpu-models.ts'

const mibPerGib = 1024
/** No GPU for rent has less memory than this many MiB: a smaller number is in GiB. */
const mibMin = 512
/** Far above any machine. */
const mibMax = 1_000_000_000
const infoCharactersMax = 10_000

/** The memory of one GPU, with what a person should look at. */
export type GpuMemory = { readonly mib: number; readonly warning?: string }

type Sizes = { readonly size: number | undefined; readonly total: number | undefined }

/** Returns the numbers in a `GpuInfo` that is written as a Python or JSON object, in any case. */
const sizesIn = (info: string): Sizes => {
  const found = new Map<string, number>()
  const named = /(sizein|totalgpumemoryin)(mi?b|gi?b)["']?\s*:\s*["']?(\d+(?:\.\d+)?)/gi
  for (const [, name = '', unit = '', digits = ''] of info.slice(0, infoCharactersMax).matchAll(named)) {
    const mib = Number(digits) * (unit.toLowerCase().startsWith('g') ? mibPerGib : 1)
    if (mib > 0 && mib <= mibMax && !found.has(name.toLowerCase())) found.set(name.toLowerCase(), mib)
  }
  return { size: found.get('sizein'), total: found.get('totalgpumemoryin') }
}

/** Returns what one GPU may have, the usual reading first: the total of the machine, the size of one, the size of all
 *  of a kind, and a total that was multiplied twice. */
const readingsOf = ({ size, total }: Sizes, count: number): readonly number[] =>
  [
    total && total / count,
    ...(total ? [size, size && size / count] : [size && size / count, size]),
    total && total / count / count,
  ].filter((mib) => mib !== undefined)

const whole = (mib: number): number => Math.floor(mib)

/** Returns the memory of one GPU of `count`, or undefined when nothing states it. Catalogs write it in MiB or GiB, for
 *  one GPU or for all, or only the model's name; what the model is known to have decides between the readings. */
export const gpuMemoryOf = (info: string, count: number, model: GpuModel | undefined): GpuMemory | undefined => {
  const readings = readingsOf(sizesIn(info), count)
  const [usual] = readings
  if (usual === undefined) {
    const [known, ...others] = model?.memoryMib ?? []
    if (known === undefined) return undefined
    if (others.length === 0) return { mib: known }
    return {
      mib: known,
      warning: `is taken as ${known} MiB, and this model is also sold with ${others.join(', ')} MiB`,
    }
  }
  const inMib = usual < mibMin ? usual * mibPerGib : usual
  if (!model)
    return { mib: whole(inMib), ...(inMib !== usual && { warning: `${whole(usual)} is taken as a number of GiB` }) }
  const plausible = [...readings, ...readings.map((gib) => gib * mibPerGib)].find((mib) => isPlausible(model, mib))
  if (plausible !== undefined) return { mib: whole(plausible) }
  const { name, memoryMib } = model
  return { mib: whole(inMib), warning: `is ${whole(inMib)} MiB, and a ${name} has ${memoryMib.join(' or ')} MiB` }
}
