import { describe, expect, test } from '@jest/globals'
import { createKnownIds, type KnownIds } from './known-ids.ts'

const seen = (from: number, count: number, of = '') =>
  Array.from({ length: count }, (_, n) => ({ revision: BigInt(from + n), id: `${of}${from + n}` }))
const stateOf = (known: KnownIds, stream: string) => {
  const ids = known.get(stream)
  return ids && { from: ids.from, through: ids.through, ids: [...ids.revisionOf.keys()] }
}

describe('the known ids of a stream', () => {
  test('begin at revision 0 and join on, whatever overlaps', () => {
    const known = createKnownIds()
    known.add('s', seen(0, 3))
    known.add('s', seen(1, 4))
    expect(stateOf(known, 's')).toEqual({ from: 0n, through: 4n, ids: ['0', '1', '2', '3', '4'] })
  })

  test('are none of a stream that was read from its middle: what came before may hold the id', () => {
    const known = createKnownIds()
    known.add('s', seen(5, 3))
    expect(known.get('s')).toBeUndefined()
  })

  test('may begin with the newest, and leave a gap out', () => {
    const known = createKnownIds()
    known.begin('s', seen(5, 2))
    known.add('s', seen(9, 2))
    expect(stateOf(known, 's')).toEqual({ from: 5n, through: 6n, ids: ['5', '6'] })
    known.begin('none', [])
    expect(known.get('none')).toBeUndefined()
  })

  test('keep the first revision of an id that another writer has put there twice', () => {
    const known = createKnownIds()
    known.add('s', [
      { revision: 0n, id: 'twice' },
      { revision: 1n, id: 'twice' },
    ])
    expect(known.get('s')).toMatchObject({ through: 1n, revisionOf: new Map([['twice', 0n]]) })
  })

  test('are bounded: the newest of a stream, and the streams used last', () => {
    const known = createKnownIds({ idsPerStreamMax: 4, idsMax: 6 })
    known.add('old', seen(0, 3))
    known.add('long', seen(0, 10))
    expect(stateOf(known, 'long')).toEqual({ from: 6n, through: 9n, ids: ['6', '7', '8', '9'] })
    expect(known.get('old')).toBeUndefined()
    known.add('new', seen(0, 2))
    expect(known.get('long')).toBeDefined()
    known.add('more', seen(0, 1))
    expect([known.get('new'), known.get('long')].map((ids) => ids?.revisionOf.size)).toEqual([undefined, 4])
  })
})
