import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { logPositionsOf } from './eventstoredb.testing.ts'
import { type Epoch, isLossKnown, nextEpochName, positionsOf } from './position.ts'

/** An engine: the text of the n-th event, and the number in a text. */
const engines: [string, (epochs: readonly Epoch[]) => { of(n: bigint): string; numberOf(text: string): bigint }][] = [
  ['PostgreSQL', (epochs) => positionsOf('pg-a', epochs)],
  [
    'EventStoreDB',
    (epochs) => {
      const positions = logPositionsOf('esdb-a', epochs)
      return {
        of: (n) => positions.of({ commit: n * 100n, prepare: n * 100n }),
        numberOf: (text) => positions.partsOf(text).commit / 100n,
      }
    },
  ],
]
const scaleOf = (engine: string) => (engine === 'PostgreSQL' ? 1n : 100n)

/** A step in the life of a log: events are written, or a backup is put back and adopted. `keepsEpochs` is whether the
 *  backup has the adoptions that came after it was made. */
type Step = { readonly write: number } | { readonly lose: number; readonly nowMs: number }
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({ write: fc.integer({ min: 1, max: 6 }) }),
    fc.record({
      lose: fc.integer({ min: 0, max: 8 }),
      nowMs: fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_009 }),
    }),
  ),
  { maxLength: 14 },
)

describe.each(engines)('positions on %s', (engine, positionsWith) => {
  test('an event keeps its text, texts sort as the log, above all that was lost, and what was lost is refused', () => {
    fc.assert(
      fc.property(steps, (all) => {
        /** The texts of the events of the log, by number from 1, and all texts that were ever given out, by when. */
        let log: string[] = []
        let epochs: Epoch[] = []
        const lost = new Set<string>()
        for (const step of all) {
          const positions = positionsWith(epochs)
          if ('write' in step)
            for (let n = 0; n < step.write; n += 1) {
              const text = positions.of(BigInt(log.length + 1))
              for (const earlier of [...log, ...lost]) expect(text > earlier).toBe(true)
              log.push(text)
            }
          else {
            const kept = Math.max(0, log.length - step.lose)
            for (const text of log.slice(kept)) lost.add(text)
            const before = [...epochs.map(({ name }) => name), ...log, ...lost]
            log = log.slice(0, kept)
            // A backup from before an adoption does not have it.
            epochs = epochs.filter(({ after }) => after < BigInt(kept) * scaleOf(engine))
            epochs = [...epochs, { name: nextEpochName(step.nowMs, before), after: BigInt(kept) * scaleOf(engine) }]
          }
          const now = positionsWith(epochs)
          expect(log.map((_, index) => now.of(BigInt(index + 1)))).toEqual(log)
          expect(log.toSorted()).toEqual(log)
          // Cursors that were stored at any time, of events that are still there.
          expect(log.map((text) => now.numberOf(text))).toEqual(log.map((_, index) => BigInt(index + 1)))
          for (const text of lost)
            expect(() => now.numberOf(text)).toThrow(expect.objectContaining({ code: 'POSITION_FOREIGN' }))
        }
      }),
      { numRuns: 100 },
    )
  })

  test('of a log that was never put back are what they always were', () => {
    const { of } = positionsWith([])
    expect(of(0n)).toBe(
      engine === 'PostgreSQL' ? `pg-a-${'0'.repeat(20)}` : `esdb-a-${'0'.repeat(20)}-${'0'.repeat(20)}`,
    )
    expect(of(7n)).toMatch(/^(pg-a-0{19}7|esdb-a-0{17}700-0{17}700)$/)
  })

  test('a position of a lost stretch is refused with that reason', () => {
    const after = { name: 'e1700000000000', after: 3n * scaleOf(engine) }
    const lostText = positionsWith([]).of(4n)
    expect(() => positionsWith([after]).numberOf(lostText)).toThrow(/put back to an earlier state/)
    expect(positionsWith([after]).numberOf(positionsWith([]).of(3n))).toBe(3n)
  })
})

describe('an epoch', () => {
  test('is named after its moment, and after all others, also when the clock goes backwards', () => {
    expect(nextEpochName(1_700_000_000_000, [])).toBe('e1700000000000')
    expect(nextEpochName(5, [])).toBe('e0000000000005')
    expect(nextEpochName(1_700_000_000_000, ['e1700000000009', 'pg-a-e1800000000000-00000000000000000001'])).toBe(
      'e1800000000001',
    )
  })

  const first = { name: 'e1700000000000', after: 3n }
  test.each([
    ['an event that it lost', 'pg-a-00000000000000000004', [first], true],
    ['an event from before it', 'pg-a-00000000000000000003', [first], false],
    ['an event of it', 'pg-a-e1700000000000-00000000000000000004', [first], false],
    ['an event of one that the log does not have', 'pg-a-e1700000000001-00000000000000000004', [first], false],
    ['an event of another store', 'pg-b-00000000000000000004', [first], false],
    ['no position', 'pg-a', [first], false],
    ['an event of a log that was never adopted', 'pg-a-00000000000000000004', [], false],
  ] as const)('tells whether the loss of %s is known', (_, position, epochs, is) => {
    expect(isLossKnown(position, 1, { store: 'pg-a', epochs })).toBe(is)
  })
})
