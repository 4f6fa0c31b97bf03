import { describe, expect, test } from '@jest/globals'
import { createKnownIds, type KnownIds } from './known-ids.ts'

const storedIds = (from: number, count: number, of = '') =>
  Array.from({ length: count }, (_, n) => ({ revision: BigInt(from + n), id: `${of}${from + n}` }))
const stateOf = (knownIds: KnownIds, stream: string) => {
  const ids = knownIds.get(stream)
  return ids && { from: ids.from, through: ids.through, ids: [...ids.revisionOf.keys()] }
}

describe('the known ids of a stream', () => {
  test('begin at revision 0 and continue without gaps, also when events overlap', () => {
    const knownIds = createKnownIds()
    knownIds.add('s', storedIds(0, 3))
    knownIds.add('s', storedIds(1, 4))
    expect(stateOf(knownIds, 's')).toEqual({ from: 0n, through: 4n, ids: ['0', '1', '2', '3', '4'] })
  })

  test('do not exist for a stream that was read from its middle: an earlier event may have the id', () => {
    const knownIds = createKnownIds()
    knownIds.add('s', storedIds(5, 3))
    expect(knownIds.get('s')).toBeUndefined()
  })

  test('may begin with the newest events, and leave out events beyond a gap', () => {
    const knownIds = createKnownIds()
    knownIds.begin('s', storedIds(5, 2))
    knownIds.add('s', storedIds(9, 2))
    expect(stateOf(knownIds, 's')).toEqual({ from: 5n, through: 6n, ids: ['5', '6'] })
    knownIds.begin('none', [])
    expect(knownIds.get('none')).toBeUndefined()
  })

  test('keep the first revision of an id that another writer has put there twice', () => {
    const knownIds = createKnownIds()
    knownIds.add('s', [
      { revision: 0n, id: 'twice' },
      { revision: 1n, id: 'twice' },
    ])
    expect(knownIds.get('s')).toMatchObject({ through: 1n, revisionOf: new Map([['twice', 0n]]) })
  })

  test('are bounded: the newest of a stream, and the streams used last', () => {
    const knownIds = createKnownIds({ idsPerStreamMax: 4, bytesMax: 2 * 1_200 + 6 * 100 })
    knownIds.add('old', storedIds(0, 3))
    knownIds.add('long', storedIds(0, 10))
    expect(stateOf(knownIds, 'long')).toEqual({ from: 6n, through: 9n, ids: ['6', '7', '8', '9'] })
    expect(knownIds.get('old')).toBeUndefined()
    knownIds.add('new', storedIds(0, 2))
    expect(knownIds.get('long')).toBeDefined()
    knownIds.add('more', storedIds(0, 1))
    expect([knownIds.get('new'), knownIds.get('long')].map((ids) => ids?.revisionOf.size)).toEqual([undefined, 4])
  })
})
