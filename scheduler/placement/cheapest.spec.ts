import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { usdc } from '../../domain/money.testing.ts'
import { money } from '../../domain/money.ts'
import { type Candidate, place } from './cheapest.testing.ts'
import type { Needs } from './cheapest.ts'

const offer = (listing: string, overrides: Partial<Candidate> = {}): Candidate => ({
  listing,
  provider: 'p',
  gpu: 'H100',
  gpuCount: 8,
  freeGpus: 8,
  vramMib: 81_559,
  region: 'France, FR, EU',
  pricePerGpuHour: usdc(2n),
  ...overrides,
})
const needs = (overrides: Partial<Needs> = {}): Needs => ({
  gpu: 'H100',
  gpuCount: 1,
  maxPricePerGpuHour: usdc(3n),
  ...overrides,
})
const placed = (request: Needs, ...offers: Candidate[]) => {
  const answer = place(request, offers)
  return 'code' in answer ? answer.code : answer.candidates.map(({ listing }) => listing)
}

describe('fitting offers', () => {
  test('come cheapest first', () => {
    const offers = [
      offer('expensive', { pricePerGpuHour: usdc(3n) }),
      offer('cheap', { pricePerGpuHour: usdc(1n) }),
      offer('fair'),
    ]
    expect(placed(needs(), ...offers)).toEqual(['cheap', 'fair', 'expensive'])
  })

  test('of one price come with the fewest free GPUs first, then by name', () => {
    const offers = [offer('d', { freeGpus: 8 }), offer('c', { freeGpus: 2 }), offer('b', { freeGpus: 4 }), offer('a')]
    expect(placed(needs({ gpuCount: 2 }), ...offers)).toEqual(['c', 'b', 'a', 'd'])
  })

  test('are compared exactly, also beyond the range of a number', () => {
    const huge = 2n ** 64n
    const offers = [offer('more', { pricePerGpuHour: usdc(huge + 1n) }), offer('less', { pricePerGpuHour: usdc(huge) })]
    expect(placed(needs({ maxPricePerGpuHour: usdc(huge + 1n) }), ...offers)).toEqual(['less', 'more'])
  })

  test('may be exactly at the limits of the request', () => {
    const request = needs({ gpuCount: 8, vramMib: 81_559, maxPricePerGpuHour: usdc(2n) })
    expect(placed(request, offer('exact'))).toEqual(['exact'])
  })

  test.each(['h100', ' nvidia h100 ', 'H100 SXM', 'h100-80gb'])(
    'are found by the model as people write it: %j',
    (gpu) =>
      expect(placed(needs({ gpu }), offer('a'), offer('b', { gpu: 'A100' }), offer('c', { gpu: 'H100_SXM' }))).toEqual([
        'a',
        'c',
      ]),
  )

  test('are found by whole words of a region, and by country and continent', () => {
    const offers = [offer('a'), offer('b', { region: 'australia-east-1' }), offer('c', { region: 'us-east-1' })]
    expect(placed(needs({ region: 'france' }), ...offers)).toEqual(['a'])
    expect(placed(needs({ region: 'Europe' }), ...offers)).toEqual(['a'])
    expect(placed(needs({ region: 'US' }), ...offers)).toEqual(['c'])
    expect(placed(needs({ region: 'ustralia' }), ...offers)).toBe('NO_FITTING_OFFER')
  })
})

describe('when none fits, the code names the reason of the closest one', () => {
  const a100 = offer('a100', { gpu: 'A100' })
  const small = offer('small', { vramMib: 1 })
  const expensive = offer('expensive', { pricePerGpuHour: usdc(4n) })
  const taken = offer('taken', { freeGpus: 0 })
  const elsewhere = offer('elsewhere', { region: 'US, NA' })
  const euros = offer('euros', { pricePerGpuHour: money(1n, 'USD/2') })
  const request = needs({ vramMib: 40_000, region: 'FR' })

  test.each([
    ['GPU_UNKNOWN', []],
    ['GPU_UNKNOWN', [a100]],
    ['GPU_UNKNOWN', [offer('part', { gpu: 'H100 NVL' })]],
    ['NO_FITTING_OFFER', [a100, small]],
    ['NO_FITTING_OFFER', [a100, elsewhere]],
    ['NO_FITTING_OFFER', [offer('single', { gpuCount: 0, freeGpus: 0 })]],
    ['PRICE_ABOVE_MAXIMUM', [a100, small, expensive]],
    ['PRICE_ABOVE_MAXIMUM', [euros]],
    ['LISTING_FULL', [a100, small, expensive, taken]],
  ] as const)('%s', (code, offers) => {
    expect(placed(request, ...offers)).toBe(code)
  })
})

describe('the details name the requirement that failed, and the nearest that there is', () => {
  const offers = [
    offer('big', { gpuCount: 8, freeGpus: 2, vramMib: 40_960, region: 'us-east-1' }),
    offer('far', { gpuCount: 2, freeGpus: 2, vramMib: 81_920, region: 'France, FR, EU' }),
  ]
  const detailsOf = (asked: Partial<Needs>) => {
    const answer = place(needs(asked), offers)
    return 'code' in answer ? [answer.code, answer.details] : answer
  }
  const together = 'is met by some offers, but not together with the others'

  test.each<[Partial<Needs>, string, object]>([
    [{ gpuCount: 500 }, 'NO_FITTING_OFFER', { gpuCount: 'is 500, and the largest listing has 8' }],
    [{ vramMib: 90_000 }, 'NO_FITTING_OFFER', { vramMibMin: 'is 90000, and the most on offer is 81920' }],
    [{ region: 'Japan' }, 'NO_FITTING_OFFER', { region: 'is "Japan", and offers are in us-east-1; France, FR, EU' }],
    [{ gpuCount: 4, region: 'FR' }, 'NO_FITTING_OFFER', { gpuCount: together, region: together }],
    [
      { maxPricePerGpuHour: usdc(1n) },
      'PRICE_ABOVE_MAXIMUM',
      { maxPricePerGpuHour: 'is 0.000001 USDC, and the cheapest that fits costs 0.000002 USDC' },
    ],
    [{ maxPricePerGpuHour: money(9n, 'USD/2') }, 'PRICE_ABOVE_MAXIMUM', { asset: expect.stringContaining('USD/2') }],
    [{ gpuCount: 3 }, 'LISTING_FULL', { gpuCount: 'is 3, and at most 2 are free at once' }],
  ])('%j: %s', (asked, code, details) => expect(detailsOf(asked)).toEqual([code, details]))

  test('and are short, whatever was asked and is on offer', () => {
    const many = Array.from({ length: 1_000 }, (_, index) =>
      offer(`${index}`, { region: `${'x'.repeat(500)}-${index}` }),
    )
    expect(JSON.stringify(place(needs({ region: 'q'.repeat(100_000) }), many)).length).toBeLessThan(600)
  })
})

test('all fitting listings are returned, no other, the cheapest first', () => {
  const candidates = fc.array(
    fc.record({
      listing: fc.uuid(),
      provider: fc.constantFrom('p', 'q'),
      gpu: fc.constantFrom('H100', 'A100'),
      gpuCount: fc.constant(4),
      freeGpus: fc.nat(4),
      vramMib: fc.nat(4),
      region: fc.constantFrom('FR', 'US'),
      pricePerGpuHour: fc.nat(4).map((amount) => usdc(BigInt(amount))),
    }),
  )
  fc.assert(
    fc.property(candidates, fc.nat(4), fc.nat(4), fc.nat(4), (offers, gpuCount, vramMib, most) => {
      const answer = place(needs({ gpuCount, vramMib, region: 'FR', maxPricePerGpuHour: usdc(BigInt(most)) }), offers)
      const fitting = offers.filter(
        (one) =>
          one.gpu === 'H100' &&
          one.region === 'FR' &&
          one.vramMib >= vramMib &&
          one.freeGpus >= gpuCount &&
          one.pricePerGpuHour.amount <= BigInt(most),
      )
      if ('code' in answer) return expect(fitting).toEqual([])
      expect(new Set(answer.candidates)).toEqual(new Set(fitting))
      expect(answer.candidates).toHaveLength(fitting.length)
      const prices = answer.candidates.map(({ pricePerGpuHour }) => pricePerGpuHour.amount)
      expect(prices).toEqual(prices.toSorted((a, b) => Number(a - b)))
    }),
  )
})
