import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isRefusal } from '../domain/errors.ts'
import { readOffers } from './offers.ts'

const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region'
const gpuInfo = (gpu: string, count: string, mib: string) =>
  `"{'Gpus': [{'Name': '${gpu}', 'Count': ${count}, 'MemoryInfo': {'SizeInMiB': ${mib}}}], 'TotalGpuMemoryInMiB': ${mib}}"`
const offerLine = ({ gpu = 'H100', count = '2', vcpus = '32', gib = '64.0', mib = '163118', price = '3.73' } = {}) =>
  `2x-H100_SXM-32-65536,${gpu},${count},${vcpus},${gib},${gpuInfo('H100', count, mib)},${price},0.00,"France, FR, EU"`
const good = offerLine()
const goodOffer = {
  gpu: 'H100',
  gpuCount: 2,
  vramMib: 81_559,
  vcpus: 32,
  memoryMib: 65_536,
  region: 'France, FR, EU',
  pricePerGpuHour: { amount: 1_865_000n, asset: 'USDC/6' },
}
const file = (...lines: string[]) => [header, ...lines, ''].join('\n')
const read = async (csv: string) => {
  const answer = await readOffers(csv)
  if (isRefusal(answer)) throw new Error(answer.refused)
  return answer
}
const offersOf = async (csv: string) => (await read(csv)).offers.map(({ line, offer }) => ({ line, offer }))
/** Resolves to the details of what was refused, by line. */
const refusals = async (csv: string) => (await read(csv)).refused.map(({ line, refusal }) => ({ line, ...refusal }))
const invalid = (line: number, details: Record<string, string>) => ({
  line,
  refused: 'OFFER_LINE_INVALID',
  details: { line: String(line), ...details },
})

describe('a line', () => {
  test('is an offer under its number', async () => {
    const answer = await read(file(good))
    expect(answer).toMatchObject({ refused: [], warnings: [], withoutGpu: 0 })
    expect(answer.offers).toEqual([
      {
        line: 2,
        machine: { instanceType: '2x-H100_SXM-32-65536', model: 'H100', count: '2', region: 'France, FR, EU' },
        copy: 0,
        offer: goodOffer,
        former: { gpu: 'H100', gpuCount: 2, vramMib: 81_559, vcpus: 32, memoryMib: 65_536, region: 'France, FR, EU' },
      },
    ])
  })

  test('may have spaces around its numbers', async () => {
    const spaced = offerLine({ count: ' 2 ', vcpus: ' 32', gib: ' 64.0 ', price: ' 3.73 ' })
    expect((await offersOf(file(spaced))).map(({ offer }) => offer)).toEqual(
      (await offersOf(file(offerLine({ count: '2', vcpus: '32', gib: '64.0', price: '3.73' })))).map(
        ({ offer }) => offer,
      ),
    )
  })

  test('may have a region without a state', async () => {
    const [first] = (await read(file(good.replace('France, FR, EU', ', US, NA')))).offers
    expect(first?.offer.region).toBe('US, NA')
  })

  test('may give counts with a point, and columns in another order and case', async () => {
    const csv = `price,REGION,GpuInfo,MemoryGiB,vCPUs,AcceleratorCount,AcceleratorName\n0.5,FR,${gpuInfo('T4', '1', '16384')},0.5,1.0,1.0,T4`
    expect(await offersOf(csv)).toEqual([
      {
        line: 2,
        offer: {
          gpu: 'T4',
          gpuCount: 1,
          vramMib: 16_384,
          vcpus: 1,
          memoryMib: 512,
          region: 'FR',
          pricePerGpuHour: { amount: 500_000n, asset: 'USDC/6' },
        },
      },
    ])
  })

  test('may have a quoted field that reaches over several lines', async () => {
    const csv = file(good.replace("'Gpus': [", "\n'Gpus':\n[").replace('"{', '"{\n'), good)
    expect(await offersOf(csv)).toEqual([
      { line: 2, offer: goodOffer },
      { line: 6, offer: goodOffer },
    ])
    expect(await refusals(csv)).toEqual([])
  })

  test.each([
    ['CRLF', `${[header, good, good].join('\r\n')}\r\n`],
    ['a byte order mark', `\uFEFF${file(good, good)}`],
    ['empty lines between', `\n${header}\n\n${good}\n  \n${good}\n\n`],
    ['no end of the last line', [header, good, good].join('\n')],
  ])('is read in a file with %s', async (_, csv) => {
    expect(await read(csv)).toMatchObject({ offers: [{ offer: goodOffer }, { offer: goodOffer }], refused: [] })
  })
})

describe('a broken line is named by its number and column, and the others are read', () => {
  const wholeNumber = 'takes a whole number'
  const price = { column: 'Price', problem: 'takes a price above zero' }
  const decimal = {
    column: 'Price',
    problem:
      'takes a decimal number alone, such as 2.65: at most 30 digits before the point, and of an exponent at most 2',
  }
  const memory = {
    column: 'GpuInfo',
    problem:
      "does not say the memory, and that of this model is not known: takes {'Gpus': [{'MemoryInfo': {'SizeInMiB': …}}]}",
  }
  const fraction = {
    column: 'AcceleratorCount',
    problem: 'takes a whole number: fractions of a GPU are not offered here',
  }
  const spot = {
    column: 'Price',
    problem: 'is empty: the machine has a spot price alone, and spot is not offered here',
  }
  const unstorable = { column: 'AcceleratorName', problem: 'holds a NUL character' }

  test.each<[string, string, Record<string, string>]>([
    ['a column is missing', good.slice(0, good.lastIndexOf(',"')), { problem: '8 columns, the header has 9' }],
    ['there is one too many', `${good},x`, { problem: '10 columns, the header has 9' }],
    ['it is something else', 'and now?', { problem: '1 columns, the header has 9' }],
    ['a quote is not closed', good.slice(0, -1), { problem: 'its quotes do not match' }],
    ['quotes stand in quotes', good.replace('France', 'the "France'), { problem: 'its quotes do not match' }],
    ['no GPU is named', offerLine({ gpu: ' ' }), { column: 'AcceleratorName', problem: 'is empty' }],
    ['the GPU cannot be stored', offerLine({ gpu: 'H\0' }), unstorable],
    ['the count is zero', offerLine({ count: '0' }), { column: 'AcceleratorCount', problem: 'must be at least 1' }],
    ['the count is negative', offerLine({ count: '-1' }), { column: 'AcceleratorCount', problem: wholeNumber }],
    ['the count is half a GPU', offerLine({ count: '0.5' }), fraction],
    ['the count is a sixth', offerLine({ count: '0.167' }), fraction],
    ['the machine is spot alone', offerLine({ price: '' }).replace(',0.00,', ',0.14,'), spot],
    ['the price is written as missing', offerLine({ price: 'nan' }).replace(',0.00,', ',0.14,'), spot],
    ['the count is empty', offerLine({ count: '' }), { column: 'AcceleratorCount', problem: wholeNumber }],
    [
      'the count is endless',
      offerLine({ count: '9'.repeat(400) }),
      { column: 'AcceleratorCount', problem: 'is too large' },
    ],
    [
      'the name is too long',
      offerLine({ gpu: 'x'.repeat(5_000) }),
      {
        column: 'AcceleratorName',
        problem: 'takes at most 200 characters',
        given: `${'x'.repeat(40)}… (5000 characters)`,
      },
    ],
    [
      'the cores are more than any column holds',
      offerLine({ vcpus: '3000000000' }),
      { column: 'vCPUs', problem: 'takes 0 to 2,147,483,647', given: '3000000000' },
    ],
    [
      'the price is beyond any money',
      offerLine({ price: '9'.repeat(30) }),
      {
        column: 'Price',
        problem: 'makes more than 1000000000000000000000 USD per GPU and hour',
      },
    ],
    ['the cores are no number', offerLine({ vcpus: 'many' }), { column: 'vCPUs', problem: 'takes a number' }],
    ['the memory is no number', offerLine({ gib: 'much' }), { column: 'MemoryGiB', problem: 'takes a number' }],
    ['the memory is missing', offerLine({ gib: '' }), { column: 'MemoryGiB', problem: 'must be above zero' }],
    ['the memory is endless', offerLine({ gib: '1e300' }), { column: 'MemoryGiB', problem: 'is too large' }],
    ['the GPU memory is missing', offerLine({ gpu: 'ZX-9000', mib: '' }), memory],
    ['the GPU memory is endless', offerLine({ gpu: 'ZX-9000', mib: '9'.repeat(400) }), memory],
    ['the price is missing', offerLine({ price: '' }), { column: 'Price', problem: 'is empty' }],
    ['the price is a word', offerLine({ price: 'free' }), decimal],
    ['the price has a sign of money', offerLine({ price: '$2' }), decimal],
    ['the price is endless', offerLine({ price: '1e308' }), decimal],
    ['the price is zero', offerLine({ price: '0.00' }), price],
    ['the price is negative', offerLine({ price: '-3.73' }), decimal],
    ['the price has only an exponent', offerLine({ price: 'e1' }), decimal],
    ['the price has no end of digits', offerLine({ price: '9'.repeat(400) }), decimal],
  ])('%s', async (_, broken, details) => {
    const csv = file(good, broken, good)
    expect(await refusals(csv)).toEqual([invalid(3, details)])
    expect((await offersOf(csv)).map(({ line }) => line)).toEqual([2, 4])
  })

  test('several at once, in their order', async () => {
    const csv = file('x', good, good.slice(0, -1), good, offerLine({ price: '0' }), good.slice(0, -1))
    expect((await refusals(csv)).map(({ line }) => line)).toEqual([2, 4, 6, 7])
    expect((await offersOf(csv)).map(({ line }) => line)).toEqual([3, 5])
  })

  test('under the number where it begins, when it reaches over several lines', async () => {
    const broken = offerLine({ price: '0' }).replace("'Gpus'", "\n'Gpus'")
    expect(await refusals(file(good, broken, good))).toEqual([invalid(3, price)])
  })
})

describe('a file is refused as a whole', () => {
  const lacking = async (csv: string) => {
    const answer = await readOffers(csv)
    return isRefusal(answer) ? answer : undefined
  }
  const all = 'AcceleratorName, AcceleratorCount, vCPUs, MemoryGiB, GpuInfo, Price, Region'

  test.each([
    ['empty', '', all],
    ['only empty lines', '\n \r\n', all],
    ['without a header', good, all],
    ['with a broken header', `"${header}\n${good}`, all],
    ['without a price', file(good).replace('Price,SpotPrice', 'Cost,SpotPrice'), 'Price'],
    ['without two columns', 'AcceleratorName,AcceleratorCount,MemoryGiB,GpuInfo,Price', 'vCPUs, Region'],
  ])('%s', async (_, csv, columns) => {
    expect(await lacking(csv)).toEqual({ refused: 'INPUT_INVALID', details: { csv: `the header lacks ${columns}` } })
  })

  test('with more lines than one may send at once', async () => {
    const csv = [header, ...Array.from({ length: 10_001 }, () => 'x')].join('\n')
    expect(await lacking(csv)).toEqual({ refused: 'INPUT_INVALID', details: { csv: 'at most 10000 lines' } })
  })

  test('but not for having no offers', async () => {
    expect(await read(header)).toEqual({ offers: [], refused: [], warnings: [], withoutGpu: 0 })
  })
})

const millionths = (amount: bigint) => `${amount / 1_000_000n}.${String(amount % 1_000_000n).padStart(6, '0')}`

test('the price per GPU is rounded up: all of them cost no less than the machine, and less than one unit more each', async () => {
  await fc.assert(
    fc.asyncProperty(fc.bigInt(1n, 10n ** 12n), fc.bigInt(1n, 1_000n), async (machine, count) => {
      const [first] = (await read(file(offerLine({ count: String(count), price: millionths(machine) })))).offers
      const together = (first?.offer.pricePerGpuHour.amount ?? 0n) * count
      expect(together).toBeGreaterThanOrEqual(machine)
      expect(together).toBeLessThan(machine + count)
    }),
  )
})

test('whatever one line holds, the others are read', async () => {
  const junk = fc
    .oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('"', ',', ' ', "'", 'x', '3', '.') }),
      fc.tuple(fc.nat(good.length), fc.string({ maxLength: 3 })).map(([at, text]) => good.slice(0, at) + text),
    )
    .map((text) => text.replace(/[\r\n]/g, ''))
  await fc.assert(
    fc.asyncProperty(fc.nat(4), junk, async (at, text) => {
      const lines = Array.from({ length: 5 }, (_, index) => (index === at ? text : good))
      const expected = [2, 3, 4, 5, 6].filter((line) => line !== at + 2)
      const { offers, refused } = await read(file(...lines))
      expect(offers.map(({ line }) => line).filter((line) => line !== at + 2)).toEqual(expected)
      expect(refused.every(({ line }) => line === at + 2)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('whatever the text, it is answered', async () => {
  const piece = fc.constantFrom('"', ',', '\n', '\r\n', "'SizeInMiB': ", '9', '.', '-', 'e', '\0', good, header)
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(piece).map((parts) => parts.join('')),
      ),
      async (text) => {
        for (const csv of [text, `${header}\n${text}`]) {
          const answer = await readOffers(csv)
          if (isRefusal(answer)) continue
          for (const { offer } of answer.offers)
            for (const value of [offer.gpuCount, offer.vramMib, offer.vcpus, offer.memoryMib])
              expect(Number.isSafeInteger(value)).toBe(true)
        }
      },
    ),
    { numRuns: 300 },
  )
})

describe('200,000 broken lines', () => {
  test('are refused as too many, and 10,000 are read while other work goes on', async () => {
    const longest = async (csv: string) => {
      let [last, gap] = [performance.now(), 0]
      const timer = setInterval(() => {
        gap = Math.max(gap, performance.now() - last)
        last = performance.now()
      }, 1)
      const answer = await readOffers(csv)
      clearInterval(timer)
      return { answer, gap: Math.max(gap, performance.now() - last) }
    }
    const many = await longest(`${header}\n${'"x\n'.repeat(200_000)}`)
    expect(many.answer).toMatchObject({ refused: 'INPUT_INVALID' })
    const most = await longest(`${header}\n${'"x\n'.repeat(10_000)}`)
    expect(isRefusal(most.answer) ? [] : most.answer.refused).toHaveLength(10_000)
    expect(Math.max(many.gap, most.gap)).toBeLessThan(1_000)
  })
})

const realFile = process.env.OFFERS_FILE
const whenGiven = realFile ? test : test.skip
whenGiven('the file at OFFERS_FILE is read without a refused line', async () => {
  const { offers, refused } = await read(readFileSync(realFile ?? '', 'utf8'))
  expect(refused).toEqual([])
  expect(offers.length).toBeGreaterThan(0)
})
