import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Bound, type BoundedMap, createBoundedMap, registerBound, registeredBounds } from './bounded.ts'

const lru: Bound = { name: 'a', holds: 'tests', whenFull: 'evicts the least recently used', entriesMax: 10 }
const keysOf = (map: BoundedMap<string>, ...keys: string[]) => keys.filter((key) => map.has(key))

describe('where the least recently used is evicted', () => {
  test('a value that was read stays', () => {
    const map = createBoundedMap<string>(lru, { entriesMax: 2, bytesMax: 100 })
    map.set('a', 'A', 1)
    map.set('b', 'B', 1)
    expect(map.get('a')).toBe('A')
    map.set('c', 'C', 1)
    expect([keysOf(map, 'a', 'b', 'c'), map.bytes, map.size]).toEqual([['a', 'c'], 2, 2])
  })

  test('as many go as the bytes of a new one need', () => {
    const map = createBoundedMap<string>(lru, { bytesMax: 10 })
    for (const key of ['a', 'b', 'c']) map.set(key, key, 3)
    map.set('d', 'd', 6)
    expect([keysOf(map, 'a', 'b', 'c', 'd'), map.bytes]).toEqual([['c', 'd'], 9])
  })

  test('the newest stays, however heavy', () => {
    const map = createBoundedMap<string>(lru, { bytesMax: 10 })
    map.set('a', 'a', 3)
    map.set('heavy', 'heavy', 1_000)
    expect(keysOf(map, 'a', 'heavy')).toEqual(['heavy'])
    map.set('b', 'b', 3)
    expect(keysOf(map, 'heavy', 'b')).toEqual(['b'])
  })

  test('nothing is held where no entry is allowed', () => {
    const map = createBoundedMap<string>(lru, { entriesMax: 0 })
    map.set('a', 'a', 3)
    expect([map.get('a'), map.bytes]).toEqual([undefined, 0])
  })
})

test('where the oldest is evicted, reading a value does not keep it', () => {
  const map = createBoundedMap<string>({ ...lru, whenFull: 'evicts the oldest', entriesMax: 2 })
  map.set('a', 'A')
  map.set('b', 'B')
  map.get('a')
  map.set('c', 'C')
  expect([...map.values()]).toEqual(['B', 'C'])
})

test('where the new one is refused, nothing else changes', () => {
  const map = createBoundedMap<string>({ ...lru, whenFull: 'refuses the new one' }, { entriesMax: 2, bytesMax: 10 })
  expect([map.set('a', 'A', 4), map.set('b', 'B', 7), map.set('b', 'B', 6), map.set('c', 'C', 0)]).toEqual([
    true,
    false,
    true,
    false,
  ])
  expect([map.set('a', 'more', 5), map.set('a', 'less', 1)]).toEqual([false, true])
  expect([[...map.values()], map.bytes]).toEqual([['B', 'less'], 7])
})

const whenFull = fc.constantFrom<Bound['whenFull']>(
  'evicts the least recently used',
  'evicts the oldest',
  'refuses the new one',
)
const change = fc.record({
  act: fc.constantFrom('set', 'set', 'get', 'delete'),
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  bytes: fc.nat(12),
})

test('whatever is done, the bound holds, and the counts are those of the entries', () => {
  const sizes = fc.record({ entriesMax: fc.integer({ min: 1, max: 4 }), bytesMax: fc.integer({ min: 1, max: 20 }) })
  fc.assert(
    fc.property(whenFull, sizes, fc.array(change, { maxLength: 40 }), (full, bounds, changes) => {
      const map = createBoundedMap<number>({ ...lru, whenFull: full }, bounds)
      for (const { act, key, bytes } of changes) {
        if (act === 'set') map.set(key, bytes, bytes)
        else if (act === 'get') map.get(key)
        else map.delete(key)
        const held = [...map.values()]
        expect([held.length, held.reduce((sum, value) => sum + value, 0)]).toEqual([map.size, map.bytes])
        expect(map.size).toBeLessThanOrEqual(bounds.entriesMax)
        const newestAlone = full !== 'refuses the new one' && map.size === 1
        if (!newestAlone) expect(map.bytes).toBeLessThanOrEqual(bounds.bytesMax)
      }
    }),
  )
})

test('a bound is registered under its name, once', () => {
  const bound = registerBound({ ...lru, name: 'spec' })
  expect(registeredBounds()).toContain(bound)
  expect(() => registerBound({ ...lru, name: 'spec' })).toThrow('There is a bound with the name spec')
})
