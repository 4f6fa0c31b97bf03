import { describe, expect, test } from '@jest/globals'
import { aggregates, streamOf } from '../../domain/aggregates.ts'
import { personalFieldsOf } from '../../domain/catalogue.ts'
import type { Json } from '../../infra/event-store/port.ts'
import { createPrivacy, openPrivacy } from './personal.ts'

const privacy = createPrivacy('a secret')
const wallet = `0x${'a1'.repeat(20)}`
const payment = `0x${'b2'.repeat(32)}`
const pseudonym = privacy.pseudonym(wallet)
const money = { amount: '25000000', asset: 'USDC/6' }

describe('the exported part of an event', () => {
  test('keeps its shape: wallets become pseudonyms, also within accounts, and the rest stays', () =>
    expect(
      privacy.fields('DepositCredited', {
        user: wallet,
        payment,
        posting: { debit: `transit:deposit:${payment}`, credit: `user:${wallet}:available`, amount: money },
      }),
    ).toEqual({
      user: pseudonym,
      payment: privacy.pseudonym(payment),
      posting: {
        debit: `transit:deposit:${privacy.pseudonym(payment)}`,
        credit: `user:${pseudonym}:available`,
        amount: money,
      },
    }))

  test('has no text that a person or their program wrote', () => {
    const submitted = { rental: 'r', renter: wallet, command: ['secret'], files: [], environment: { KEY: 'secret' } }
    expect(privacy.fields('JobSubmitted', submitted)).toEqual({ rental: 'r', renter: pseudonym })
    expect(privacy.fields('ProviderRenamed', { name: 'Ada' })).toEqual({})
  })

  test('has no field that no schema describes', () => {
    expect(privacy.fields('PriceChanged', { pricePerGpuHour: money, note: wallet })).toEqual({ pricePerGpuHour: money })
    expect(privacy.fields('UnknownEvent', { wallet })).toEqual({})
  })

  test('is the whole event with personal data included', () =>
    expect(openPrivacy.fields('ProviderRenamed', { name: 'Ada' })).toEqual({ name: 'Ada' }))

  const types = Object.values(aggregates).flatMap(({ schemas }) => Object.keys(schemas))
  /** Returns an event whose personal fields all hold the same word. */
  const filled = (paths: readonly string[]): Json => {
    const data: Record<string, Json> = {}
    for (const path of paths) {
      const [first = '', second] = path.replace('[]', '').split('.')
      data[first] = second === undefined ? 'SECRET' : { ...(data[first] as object), [second]: 'SECRET' }
    }
    return data
  }
  test.each(types.filter((type) => personalFieldsOf(type).length > 0))(
    '%s lets no personal field through as it is',
    (type) => {
      const data = filled(personalFieldsOf(type))
      expect(JSON.stringify(data)).toContain('SECRET')
      expect(JSON.stringify(privacy.fields(type, data))).not.toContain('SECRET')
    },
  )
})

describe('a pseudonym', () => {
  test('is the same wherever a wallet stands, so that joins work', () => {
    expect(privacy.stream(streamOf('account', wallet))).toBe(`account-${pseudonym}`)
    expect(privacy.stream(streamOf('provider', wallet))).toBe(`provider-${pseudonym}`)
    expect(privacy.actor(`user:${wallet}`)).toBe(`user:${pseudonym}`)
    expect(privacy.pseudonym(wallet.toUpperCase())).toBe(pseudonym)
    expect(privacy.stream(streamOf('payment', payment))).toBe(`payment-${privacy.pseudonym(payment)}`)
  })
  test('depends on the secret of the installation', () =>
    expect(createPrivacy('another secret').pseudonym(wallet)).not.toBe(pseudonym))
  test('replaces only fields that lead to a person', () => {
    expect(privacy.stream('rental-0195-abc')).toBe('rental-0195-abc')
    expect(privacy.actor('system:meter')).toBe('system:meter')
    const hold = (account: string) =>
      privacy.fields('HoldCaptured', { rental: 'r', posting: { debit: account, credit: account, amount: money } })
    expect(hold('transit:rental:r')).toMatchObject({ posting: { debit: 'transit:rental:r' } })
    expect(hold('custody:1')).toMatchObject({ posting: { debit: 'custody:1' } })
    expect(hold(`bonus:${wallet}`)).toMatchObject({ posting: { debit: privacy.pseudonym(`bonus:${wallet}`) } })
  })
})
