// The known models of GPUs: how they are called, and how much memory they have.
import { knownModels } from './gpu-models/table.ts'

/** `memoryMib`: of one GPU, as it is sold, the usual size first. */
export type GpuModel = { readonly name: string; readonly memoryMib: readonly number[] }

const mibPerGib = 1024
/** No name is longer; more of a text is not looked at. */
const nameCharactersMax = 200

const keyOf = (text: string): string =>
  text
    .slice(0, nameCharactersMax)
    .normalize('NFKC')
    .toLowerCase()
    // One character may have become eighteen, and a key must fit into an index.
    .slice(0, nameCharactersMax)
    .replace(/[^\p{L}\p{N}]/gu, '')

const models: readonly (GpuModel & { readonly names: readonly string[] })[] = knownModels
  .trim()
  .split('\n')
  .map((line) => {
    const [own = '', others = ''] = line.split('|')
    const [name = '', ...sizes] = own.trim().split(' ')
    return {
      name,
      memoryMib: sizes.map((size) => Number(size) * mibPerGib),
      names: [name, ...others.split(',')].map(keyOf).filter(Boolean),
    }
  })
const byKey = new Map(models.flatMap(({ name, memoryMib, names }) => names.map((key) => [key, { name, memoryMib }])))

const maker = /^(nvidia|amd|intel|habana|geforce|quadro|tesla|radeon|instinct|gpu)/
/** Forms that a model is sold in; an offer of the model may have any. */
const form = /(sxm[2-7]?|pcie|oam|hbm(2e?|3e?)|gddr[567]x?|blackwell|ada|hopper|ampere)$/
const sizeAtEnd = /(?<!\d)(8|10|11|12|16|20|24|32|40|48|64|80|94|96|128|141|180|192|256|288)gi?b$/
const joinedSize = /(16|24|32|40|48|64|80|94|96|141|192)gi?b$/

const withoutMaker = (key: string): string => {
  const rest = key.replace(maker, '')
  return rest === key || rest === '' ? key : withoutMaker(rest)
}

/** Returns the model of a key; undefined for an unknown one. Of `a100sxm480gb`, the size and the form are taken off from
 *  the end until a name is left; the size decides between models that differ in it. */
const find = (key: string): GpuModel | undefined => {
  const known = byKey.get(key)
  if (known) return known
  const size = sizeAtEnd.exec(key) ?? joinedSize.exec(key)
  if (size) {
    const base = find(key.slice(0, -size[0].length))
    const memoryMib = Number(size[1]) * mibPerGib
    const bySize = base && byKey.get(keyOf(`${base.name}${size[1]}gb`))
    return bySize ?? (base?.memoryMib.includes(memoryMib) ? base : undefined)
  }
  const ending = form.exec(key)
  return ending && ending.index > 0 ? find(key.slice(0, ending.index)) : undefined
}

/** Returns the model of a name as people and catalogs write it: `rtx_4090`, `NVIDIA GeForce RTX 4090`, `H100 SXM`,
 *  `A100 80GB PCIe`. Returns undefined for an unknown one. */
export const gpuModelOf = (name: string): GpuModel | undefined => {
  const key = keyOf(name)
  return byKey.get(key) ?? find(withoutMaker(key))
}

/** Returns the one name of a model: that of the table, or for an unknown one the text without spaces around it. */
export const gpuNameOf = (name: string): string => gpuModelOf(name)?.name ?? name.trim()

/** Returns a text that is equal for two names of one model, and that the database stores. */
export const gpuKeyOf = (name: string): string => {
  const key = keyOf(gpuNameOf(name))
  if (key !== '') return withoutMaker(key)
  return name.trim().toLowerCase().slice(0, nameCharactersMax).toWellFormed()
}

/** The keys of all known models. */
export const knownGpuKeys: readonly string[] = models.map(({ name }) => gpuKeyOf(name))
const knownKeys = new Set(knownGpuKeys)

/** Of what is sold as 24 GiB, programs see 22.5 to 24. */
const [leastShare, mostShare] = [0.9, 1.03]

/** Returns whether a GPU of this model may have so much memory. */
export const isPlausible = (model: GpuModel, mib: number): boolean =>
  model.memoryMib.some((size) => mib >= size * leastShare && mib <= size * mostShare)

/** The part of the nearest names that is kept for known models: anyone may list GPUs under a name near to theirs. */
const knownShare = 0.6

/** Returns the names nearest to one that is unknown, the nearest first, at most `max`. Of two that are as near, the
 *  known model comes first, and the nearest known models are among them whatever else there is.
 *  @param names what there is to choose from; each model comes once. */
export const nearestGpus = (asked: string, names: readonly string[], max: number): readonly string[] => {
  const key = gpuKeyOf(asked).slice(0, comparedCharactersMax)
  const sorted = [...new Map(names.map((name) => [gpuKeyOf(name), gpuNameOf(name)])).entries()]
    .map(([other, name]) => {
      const isUnknown = Number(!knownKeys.has(other))
      return { name, isUnknown, distance: distance(key, other.slice(0, comparedCharactersMax)) }
    })
    .toSorted((a, b) => a.distance - b.distance || a.isUnknown - b.isUnknown || (a.name < b.name ? -1 : 1))
  const kept = new Set(sorted.filter(({ isUnknown }) => !isUnknown).slice(0, Math.ceil(max * knownShare)))
  for (const near of sorted) if (kept.size < max) kept.add(near)
  return sorted.filter((near) => kept.has(near)).map(({ name }) => name)
}

const comparedCharactersMax = 24

/** Returns how many characters must be inserted, left out or replaced; a name that begins or ends as the other does is
 *  nearer by as much as a quarter of it. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j += 1)
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1)))
    row = next
  }
  const edits = row[b.length] ?? 0
  return b.startsWith(a) || a.startsWith(b) || b.includes(a) ? edits / 4 : edits
}
