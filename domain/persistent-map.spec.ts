import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { entriesOf, mapOf, valuesOf } from './persistent-map.testing.ts'
import { emptyMap, isIn, type PersistentMap, valueIn, withEntry, without } from './persistent-map.ts'

/** Two texts with the same hash, found by trying. */
const colliding = ['k32728', 'k261234'] as const
const keys = fc.oneof(fc.constantFrom('a', 'b', ...colliding), fc.string({ maxLength: 3 }), fc.uuid())
const steps = fc.array(fc.tuple(fc.boolean(), keys, fc.integer()), { maxLength: 200 })

const nodesOf = (value: unknown, seen = new Set<unknown>()): Set<unknown> => {
  if (typeof value !== 'object' || value === null) return seen
  seen.add(value)
  for (const part of Object.values(value)) nodesOf(part, seen)
  return seen
}

describe('a persistent map', () => {
  test('has what a Map has after the same steps, and earlier versions stay as they were', () =>
    fc.assert(
      fc.property(steps, (all) => {
        const model = new Map<string, number>()
        let map: PersistentMap<number> = emptyMap
        const versions: (readonly [PersistentMap<number>, ReadonlyMap<string, number>])[] = []
        for (const [isPut, key, value] of all) {
          versions.push([map, new Map(model)])
          map = isPut ? withEntry(map, key, value) : without(map, key)
          if (isPut) model.set(key, value)
          else model.delete(key)
        }
        versions.push([map, model])
        for (const [version, expected] of versions) {
          expect(new Map(entriesOf(version))).toEqual(expected)
          expect(version.size).toBe(expected.size)
          expect(valuesOf(version).toSorted()).toEqual([...expected.values()].toSorted())
          for (const [, key] of all) {
            expect(valueIn(version, key)).toBe(expected.get(key))
            expect(isIn(version, key)).toBe(expected.has(key))
          }
        }
      }),
    ))

  test('is the same tree for the same entries, whatever was put in and taken out on the way', () =>
    fc.assert(
      fc.property(steps, fc.array(keys), (all, others) => {
        let map: PersistentMap<number> = emptyMap
        for (const [isPut, key, value] of all) map = isPut ? withEntry(map, key, value) : without(map, key)
        const detour = others.filter((key) => !isIn(map, key))
        const there = detour.reduce((made, key) => withEntry(made, key, 0), map)
        const back = detour.reduce((made, key) => without(made, key), there)
        expect(back).toStrictEqual(map)
        expect(mapOf(entriesOf(map).toReversed())).toStrictEqual(map)
      }),
    ))

  test('makes as few new objects in a step with 30,000 entries as with a thousand, but for a level', () => {
    const newObjectsAt = (size: number) => {
      const map = mapOf(Array.from({ length: size }, (_, index) => [`rental-${index}`, index] as const))
      const known = nodesOf(map)
      return Math.max(
        ...Array.from({ length: 20 }, (_, index) => {
          const step = index % 2 === 0 ? withEntry(map, `new-${index}`, 0) : without(map, `rental-${index}`)
          return [...nodesOf(step)].filter((node) => !known.has(node)).length
        }),
      )
    }
    expect(newObjectsAt(30_000)).toBeLessThanOrEqual(newObjectsAt(1_000) + 4)
  })
})
