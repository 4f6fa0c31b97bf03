import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readOffers } from '../../commands/offers.ts'
import { isRefusal } from '../../domain/errors.ts'
import { partsOf } from './parts.ts'

const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,Region'
const line = (type: string, info = 'L4') => `${type},L4,1,8,32,"${info}",0.5,FR`

/** Resolves to what all parts say together, as the whole file would. */
const readParts = async (text: string) => {
  const found = { offers: [] as unknown[], refused: [] as unknown[] }
  for (const { csv, ...part } of partsOf(text)) {
    const answer = await readOffers(csv, part)
    if (isRefusal(answer)) throw new Error(answer.refused)
    found.offers.push(...answer.offers)
    found.refused.push(...answer.refused)
  }
  return found
}
const readWhole = async (text: string) => {
  const answer = await readOffers(text)
  if (isRefusal(answer)) throw new Error(answer.refused)
  return { offers: answer.offers, refused: answer.refused }
}

describe('the parts of a file', () => {
  test('say together what the file says: line numbers, equals, broken lines', async () => {
    const piece = fc.constantFrom(
      line('a'),
      line('b'),
      line('a', 'L4\nover\nlines'),
      'broken',
      'a,"open',
      '',
      line('c', 'x'.repeat(2_000)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 200 }), async (lines, times) => {
        const repeated = Array.from({ length: Math.ceil(times / 2) }, () => lines).flat()
        const text = [header, ...repeated].join('\n')
        expect(await readParts(text)).toEqual(await readWhole(text))
      }),
      { numRuns: 20 },
    )
  })

  test('hold at most 100 records and 150,000 characters, and end with the file', () => {
    const text = [header, ...Array.from({ length: 10_000 }, () => line('m', 'y'.repeat(700)))].join('\r\n')
    const parts = [...partsOf(text)]
    expect(parts.length).toBeGreaterThan(20)
    for (const { csv, equalsBefore } of parts) {
      expect(equalsBefore.length).toBeLessThanOrEqual(100)
      expect(csv.length).toBeLessThan(151_000)
    }
    const shares = parts.map(({ done }) => done)
    expect(shares).toEqual(shares.toSorted((a, b) => a - b))
    expect(shares[0]).toBeCloseTo(shares.length ** -1, 1)
    expect(parts.flatMap(({ equalsBefore }) => equalsBefore)).toHaveLength(10_000)
  })

  test.each([0, 1, 2, 7, 99, 100, 101, 300])(
    'are done with the last of them, after %i empty lines too',
    (emptyLines) => {
      const text = [header, ...Array.from({ length: 150 }, () => line('m')), ...Array(emptyLines).fill('')].join('\n')
      const shares = [...partsOf(text)].map(({ done }) => done)
      expect(shares).toEqual([expect.any(Number), 1])
      expect(shares[0]).toBeLessThan(1)
    },
  )

  test('are none without a header, and none with a record that no request can hold', () => {
    expect(() => [...partsOf('hello')]).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
    expect(() => [...partsOf([header, line('m', 'y'.repeat(200_000))].join('\n'))]).toThrow(
      expect.objectContaining({ code: 'INPUT_INVALID', details: expect.objectContaining({ line: '2' }) }),
    )
    expect([...partsOf(header)]).toEqual([])
  })
})
