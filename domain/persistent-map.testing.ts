import { emptyMap, type PersistentMap, withEntry } from './persistent-map.ts'

/** Returns the map with these entries. */
export const mapOf = <Value>(entries: Iterable<readonly [string, Value]>): PersistentMap<Value> => {
  let map: PersistentMap<Value> = emptyMap
  for (const [key, value] of entries) map = withEntry(map, key, value)
  return map
}

/** Returns the values, in no particular order. */
export const valuesOf = <Value>({ root }: PersistentMap<Value>): readonly Value[] =>
  entriesBelow(root).map(({ value }) => value)

/** Returns the entries in the order of their keys. */
export const entriesOf = <Value>({ root }: PersistentMap<Value>): readonly (readonly [string, Value])[] =>
  entriesBelow(root)
    .map(({ key, value }) => [key, value] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))

type Branch<Value> = PersistentMap<Value>['root']
type Leaf<Value> = Extract<Branch<Value>['items'][number], { readonly key: string }>

const entriesBelow = <Value>({ items }: Branch<Value>): readonly Leaf<Value>[] =>
  items.flatMap((item) => ('key' in item ? [item] : entriesBelow(item)))
