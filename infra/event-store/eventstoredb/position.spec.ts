import { expect, test } from '@jest/globals'
import { isBeyond, logPositionsOf } from './position.ts'

const positions = logPositionsOf('esdb-1')
const at = (commit: bigint, prepare = commit) => ({ commit, prepare })

test('positions sort as text in the order of the log, a checkpoint before the event at the same position', () => {
  const inOrder = [at(0n), at(9n), at(10n, 0n), at(10n), at(2n ** 63n - 2n)]
  const texts = inOrder.map(positions.of)
  expect(texts.toSorted()).toEqual(texts)
  expect(texts.map((text) => positions.partsOf(text))).toEqual(inOrder)
  for (const [index, position] of inOrder.slice(1).entries()) {
    expect(isBeyond(position, inOrder[index] ?? at(0n))).toBe(true)
    expect(isBeyond(inOrder[index] ?? at(0n), position)).toBe(false)
  }
  expect(positions.distance(positions.start, positions.of(at(70n)))).toBe(70)
})

test.each([
  ['of another store', logPositionsOf('esdb-2').of(at(1n))],
  ['of another kind', 'pg-1-00000000000000000001'],
  ['none', ''],
  ['one part', 'esdb-1-00000000000000000001'],
  ['too short', 'esdb-1-1-1'],
  ['a prepare after its commit', positions.of(at(1n, 2n))],
  ['the end of every log', positions.of(at(2n ** 63n - 1n))],
  ['too long', `${positions.start}0`],
])('%s is refused by name', (_, text) =>
  expect(() => positions.partsOf(text)).toThrow(expect.objectContaining({ code: 'POSITION_FOREIGN' })),
)
