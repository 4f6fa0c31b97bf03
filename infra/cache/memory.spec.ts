import { describe, expect, test } from '@jest/globals'
import { memoryCache } from './memory.ts'

describe('the cache of one process', () => {
  test('gives a value once, also when many callers take it at the same time', async () => {
    const cache = memoryCache()
    await cache.set('nonce', 'mine', 1000)
    const taken = await Promise.all([cache.take('nonce'), cache.take('nonce'), cache.take('nonce')])
    expect(taken).toEqual(['mine', undefined, undefined])
  })

  test('forgets a value when its time is up', async () => {
    let nowMs = 0
    const cache = memoryCache({ nowMs: () => nowMs })
    await cache.set('early', 'a', 1000)
    await cache.set('late', 'b', 1001)
    nowMs = 1000
    expect([await cache.take('early'), await cache.take('late')]).toEqual([undefined, 'b'])
  })

  test('replaces a value under the same key', async () => {
    const cache = memoryCache()
    await cache.set('key', 'old', 1000)
    await cache.set('key', 'new', 1000)
    expect([await cache.take('key'), await cache.take('key')]).toEqual(['new', undefined])
  })

  test('is bounded: the value that was set first is dropped', async () => {
    const cache = memoryCache({ entriesMax: 2 })
    for (const key of ['first', 'second', 'third']) await cache.set(key, key, 1000)
    expect([await cache.take('first'), await cache.take('second'), await cache.take('third')]).toEqual([
      undefined,
      'second',
      'third',
    ])
  })
})
