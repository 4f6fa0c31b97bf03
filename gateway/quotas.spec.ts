import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createQuotas } from './quotas.ts'

const limits = { things: { perAddressMax: 5, perUserMax: 3, totalMax: 8 } }

describe('a quota', () => {
  test('is never exceeded, whatever is taken and given back in whichever order', () => {
    const step = fc.record({
      address: fc.constantFrom(undefined, 'a', 'b', 'c'),
      wallet: fc.constantFrom(undefined, '0x1', '0x2'),
      amount: fc.integer({ min: 1, max: 4 }),
      giveBack: fc.nat({ max: 9 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const quotas = createQuotas(limits)
        const held: { address?: string; wallet?: string; amount: number; giveBack: () => void }[] = []
        const sum = (matches: (entry: (typeof held)[number]) => boolean) =>
          held.filter(matches).reduce((total, { amount }) => total + amount, 0)
        for (const { address, wallet, amount, giveBack } of steps) {
          const user = { ...(address && { address }), ...(wallet && { wallet }) }
          const fits =
            sum(() => true) + amount <= 8 &&
            (address === undefined || sum((entry) => entry.address === address) + amount <= 5) &&
            (wallet === undefined || sum((entry) => entry.wallet === wallet) + amount <= 3)
          const taken = quotas.take('things', user, amount)
          expect(taken !== undefined).toBe(fits)
          if (taken) held.push({ ...user, amount, giveBack: taken })
          const [given] = giveBack < held.length ? held.splice(giveBack, 1) : []
          given?.giveBack()
          given?.giveBack()
          expect(quotas.inUse('things')).toBe(sum(() => true))
        }
      }),
    )
  })
})
