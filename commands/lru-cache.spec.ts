import { expect, test } from '@jest/globals'
import { createLruCache } from './lru-cache.ts'

const keysOf = (recent: ReturnType<typeof createLruCache<string>>, ...keys: string[]) =>
  keys.filter((key) => recent.get(key) !== undefined)

test('evicts the least recently used entry', () => {
  const recent = createLruCache<string>({ entriesMax: 2, weightMax: 100 })
  recent.set('a', 'A', 1)
  recent.set('b', 'B', 1)
  expect(recent.get('a')).toBe('A')
  recent.set('c', 'C', 1)
  expect(keysOf(recent, 'a', 'b', 'c')).toEqual(['a', 'c'])
  expect(recent.weight).toBe(2)
})

test('forgets as many as the weight of a new one needs', () => {
  const recent = createLruCache<string>({ entriesMax: 10, weightMax: 10 })
  for (const key of ['a', 'b', 'c']) recent.set(key, key, 3)
  recent.set('d', 'd', 6)
  expect(keysOf(recent, 'a', 'b', 'c', 'd')).toEqual(['c', 'd'])
  expect(recent.weight).toBe(9)
})

test('the newest stays, however heavy', () => {
  const recent = createLruCache<string>({ entriesMax: 10, weightMax: 10 })
  recent.set('a', 'a', 3)
  recent.set('heavy', 'heavy', 1_000)
  expect(keysOf(recent, 'a', 'heavy')).toEqual(['heavy'])
  recent.set('b', 'b', 3)
  expect(keysOf(recent, 'heavy', 'b')).toEqual(['b'])
})

test('holds no entry where none is allowed', () => {
  const recent = createLruCache<string>({ entriesMax: 0, weightMax: 10 })
  recent.set('a', 'a', 3)
  expect(keysOf(recent, 'a')).toEqual([])
  expect(recent.weight).toBe(0)
})

test('put again counts once, deleted counts nothing', () => {
  const recent = createLruCache<string>({ entriesMax: 10, weightMax: 10 })
  recent.set('a', 'old', 3)
  recent.set('a', 'new', 5)
  expect([recent.get('a'), recent.weight]).toEqual(['new', 5])
  recent.delete('a')
  recent.delete('a')
  expect([recent.get('a'), recent.weight]).toEqual([undefined, 0])
})
