/** A map that never changes: `withEntry` and `without` return another one that shares all but a few nodes with it, so
 *  a step costs the same however many entries there are. Plain data, and the same entries are always the same tree. */
export type PersistentMap<Value> = { readonly size: number; readonly root: Branch<Value> }

/** An entry, with the hash of its key. */
type Leaf<Value> = { readonly key: string; readonly hash: number; readonly value: Value }
/** The bits of `mask` say which of 32 places are taken; `items` are what is there, in order. Below the last bits of the
 *  hash the mask is 0, and the items are entries in the order of their keys. */
type Branch<Value> = { readonly mask: number; readonly items: readonly (Leaf<Value> | Branch<Value>)[] }

const bitsPerLevel = 5
const lastPlace = 2 ** bitsPerLevel - 1
const hashBits = 32
const emptyBranch = { mask: 0, items: [] } as const

export const emptyMap: PersistentMap<never> = { size: 0, root: emptyBranch }

/** Returns FNV-1a with a final mix. */
const hashOf = (key: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

const isLeaf = <Value>(item: Leaf<Value> | Branch<Value>): item is Leaf<Value> => 'key' in item
const bitAt = (hash: number, shift: number): number => 1 << ((hash >>> shift) & lastPlace)
/** Returns how many bits are set: in pairs, in fours, in bytes, and then in all four bytes at once. */
const bitsIn = (mask: number): number => {
  const pairs = mask - ((mask >>> 1) & 0x55555555)
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
const placeOf = (mask: number, bit: number): number => bitsIn(mask & (bit - 1))

/** Returns the value of a key; undefined when it is not in the map. */
export const valueIn = <Value>({ root }: PersistentMap<Value>, key: string): Value | undefined =>
  find(root, key, hashOf(key))

const find = <Value>(root: Branch<Value>, key: string, hash: number): Value | undefined => {
  let branch = root
  for (let shift = 0; shift < hashBits; shift += bitsPerLevel) {
    const bit = bitAt(hash, shift)
    if ((branch.mask & bit) === 0) return undefined
    const item = branch.items[placeOf(branch.mask, bit)]
    if (item === undefined) return undefined
    if (isLeaf(item)) return item.key === key ? item.value : undefined
    branch = item
  }
  const found = branch.items.find((item) => isLeaf(item) && item.key === key)
  return found && isLeaf(found) ? found.value : undefined
}

/** Returns whether the key is in the map. */
export const isIn = <Value>(map: PersistentMap<Value>, key: string): boolean => valueIn(map, key) !== undefined

/** Returns the map with one entry more, or with another value for the key. A value is never undefined. */
export const withEntry = <Value>(map: PersistentMap<Value>, key: string, value: Value): PersistentMap<Value> => {
  const hash = hashOf(key)
  const isNew = find(map.root, key, hash) === undefined
  return { size: isNew ? map.size + 1 : map.size, root: put(map.root, { key, hash, value }, 0) }
}

/** Returns the map without the key. */
export const without = <Value>(map: PersistentMap<Value>, key: string): PersistentMap<Value> =>
  isIn(map, key) ? { size: map.size - 1, root: take(map.root, key, hashOf(key), 0) } : map

const put = <Value>({ mask, items }: Branch<Value>, leaf: Leaf<Value>, shift: number): Branch<Value> => {
  if (shift >= hashBits) {
    const others = items.filter((item) => isLeaf(item) && item.key !== leaf.key) as readonly Leaf<Value>[]
    return { mask, items: [...others, leaf].sort((a, b) => (a.key < b.key ? -1 : 1)) }
  }
  const bit = bitAt(leaf.hash, shift)
  const place = placeOf(mask, bit)
  const found = items[place]
  if ((mask & bit) === 0 || found === undefined) return { mask: mask | bit, items: items.toSpliced(place, 0, leaf) }
  return { mask, items: items.with(place, joined(found, leaf, shift + bitsPerLevel)) }
}

/** Returns what stands at a place that is taken already. */
const joined = <Value>(found: Leaf<Value> | Branch<Value>, leaf: Leaf<Value>, shift: number) => {
  if (!isLeaf(found)) return put(found, leaf, shift)
  return found.key === leaf.key ? leaf : put(put(emptyBranch, found, shift), leaf, shift)
}

/** Returns the branch without an entry that is in it. A branch below with one entry left becomes that entry. */
const take = <Value>({ mask, items }: Branch<Value>, key: string, hash: number, shift: number): Branch<Value> => {
  if (shift >= hashBits) return { mask, items: items.filter((item) => isLeaf(item) && item.key !== key) }
  const bit = bitAt(hash, shift)
  const place = placeOf(mask, bit)
  const found = items[place]
  if (found === undefined || isLeaf(found)) return { mask: mask ^ bit, items: items.toSpliced(place, 1) }
  const below = take(found, key, hash, shift + bitsPerLevel)
  const [only] = below.items
  return { mask, items: items.with(place, below.items.length === 1 && only && isLeaf(only) ? only : below) }
}
