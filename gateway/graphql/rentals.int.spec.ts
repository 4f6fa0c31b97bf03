import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { newId } from '../../commands/ids.ts'
import { Failure } from '../../domain/errors.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { regionInput } from './inputs.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let renter: User
let provider: User
let late = false

beforeAll(async () => {
  world = await createGatewayWorld({
    services: ({ waitFor }) => ({
      waitFor: (position, timeoutMs) =>
        late ? Promise.reject(new Failure('POSITION_NOT_REACHED')) : waitFor(position, timeoutMs),
    }),
  })
  renter = await world.newUser()
  provider = await world.newUser()
  await world.market.deposit(renter.wallet, 1_000_000_000n)
})
afterAll(() => world.close())
beforeEach(() => {
  late = false
})

const refused = '... on Error { code details { name value } }'
const newListing = async (gpuCount = 8) => {
  const id = newId()
  await world.market.list(id, gpuCount, undefined, provider.wallet)
  return id
}
const rentAs = async (user: User, input: Record<string, unknown>, selection = 'status held { decimal asset }') => {
  const request = { hours: 1, maxPricePerGpuHour: '4', idempotencyKey: newId(), ...input }
  const { data, errors } = await user.ask(
    `mutation ($input: RentGpuInput!) { rentGpu(input: $input) {
      __typename ... on RentGpuSuccess { id position rental { ${selection} } } ${refused} } }`,
    { input: request },
  )
  return data?.rentGpu ?? errors
}
const rentalOf = (user: User, id: string, selection: string, atLeast?: string) =>
  user.ask(`query ($id: ID!, $atLeast: Position) { rental(id: $id, atLeast: $atLeast) { ${selection} } }`, {
    id,
    atLeast,
  })

const plainDecimal = 'a plain decimal number of USDC/6, with at most 30 digits before the point and 6 after it'

describe('renting', () => {
  test('a listing by id gives an active rental with the money held, in one answer', async () => {
    const listing = await newListing()
    const rented = await rentAs(
      renter,
      { listing, gpuCount: 2 },
      'status gpuCount seconds held { amount decimal asset }',
    )
    expect(rented).toEqual({
      __typename: 'RentGpuSuccess',
      id: expect.any(String),
      position: expect.any(String),
      rental: {
        status: 'active',
        gpuCount: 2,
        seconds: 3600,
        held: { amount: '7200000', decimal: '7.2', asset: 'USDC/6' },
      },
    })
  })

  test('by model and requirements rents the cheapest listing that fits', async () => {
    const cheapest = newId()
    await world.market.list(cheapest, 1, { amount: 1_000n, asset: 'USDC/6' })
    await world.ask('query ($atLeast: Position) { head gpuModels(atLeast: $atLeast) }', {
      atLeast: await world.store.head(),
    })
    const rented = await rentAs(renter, { gpu: 'h100', vramMibMin: 80_000 }, 'listing { id }')
    expect(rented.rental).toEqual({ listing: { id: cheapest } })
  })

  test('the same key again is the same rental; with another request it is refused', async () => {
    const request = { listing: await newListing(), idempotencyKey: newId() }
    const [first, again] = [await rentAs(renter, request), await rentAs(renter, request)]
    const other = await rentAs(renter, { ...request, gpuCount: 2 })
    expect(again).toEqual(first)
    expect(other).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' })
  })

  test('a late read model leaves out the node, never the answer', async () => {
    const request = { listing: await newListing() }
    late = true
    expect(await rentAs(renter, request)).toEqual({
      __typename: 'RentGpuSuccess',
      id: expect.any(String),
      position: expect.any(String),
      rental: null,
    })
  })

  test.each<[string, Record<string, unknown>]>([
    ['takes exactly one of listing and gpu', { listing: 'a', gpu: 'H100' }],
    ['takes exactly one of listing and gpu', {}],
    ['takes exactly one of listing and gpu', { listing: '' }],
    ['takes exactly one of seconds and hours', { listing: 'a', seconds: 60 }],
    ['takes exactly one of seconds and hours', { listing: 'a', hours: null }],
    ['takes at most 596523', { listing: 'a', hours: 2_000_000_000 }],
    ['takes no vramMibMin and no region beside it', { listing: 'a', region: 'FR' }],
    [regionInput, { gpu: 'H100', region: '  ' }],
    [regionInput, { gpu: 'H100', region: '-' }],
    [plainDecimal, { listing: 'a', maxPricePerGpuHour: '1e3' }],
    [plainDecimal, { listing: 'a', maxPricePerGpuHour: '0.0000001' }],
    ['at most 1000000000000000000000 USDC', { listing: 'a', maxPricePerGpuHour: '9'.repeat(30) }],
    ['takes at least 0', { gpu: 'H100', vramMibMin: -1 }],
    ['USDC/6, NMESH/18, ETH/18, USD/2', { listing: 'a', asset: 'GOLD' }],
    ['takes 1 to 200 characters', { listing: 'a', idempotencyKey: '' }],
  ])('is refused with INPUT_INVALID: it %s', async (takes, request) => {
    const { code, details } = await rentAs(renter, request)
    expect([code, details.map(({ value }: { value: string }) => value)]).toEqual([
      'INPUT_INVALID',
      expect.arrayContaining([takes]),
    ])
  })

  test.each<[string, Record<string, unknown>]>([
    ['GPU_UNKNOWN', { gpu: 'Z9000' }],
    ['PRICE_ABOVE_MAXIMUM', { gpu: 'H100', maxPricePerGpuHour: '0.000001' }],
    ['RENTAL_INVALID', { listing: 'a', gpuCount: 0 }],
    ['RENTAL_INVALID', { listing: 'a', hours: 0 }],
  ])('is refused with %s for %j', async (code, request) => {
    await newListing()
    await world.ask('query ($at: Position) { gpuModels(atLeast: $at) }', { at: await world.store.head() })
    expect(await rentAs(renter, request)).toMatchObject({ __typename: 'Refused', code })
  })

  test('a refusal names what failed, in figures', async () => {
    const listing = await newListing(1)
    await world.ask('query ($at: Position) { gpuModels(atLeast: $at) }', { at: await world.store.head() })
    const detailsOf = async (user: User, request: Record<string, unknown>) => {
      const { code, details } = await rentAs(user, request)
      const named = (details as { name: string; value: string }[]).map(({ name, value }) => [name, value])
      return [code, Object.fromEntries(named)]
    }
    expect(await detailsOf(renter, { gpu: 'H1OO' })).toEqual(['GPU_UNKNOWN', { gpu: 'H1OO', nearest: 'H100' }])
    expect(await detailsOf(renter, { gpu: 'h100 sxm', region: 'Japan' })).toMatchObject([
      'NO_FITTING_OFFER',
      { region: expect.stringContaining('"Japan"') },
    ])
    expect(await detailsOf(renter, { listing, gpuCount: 2 })).toMatchObject([
      'LISTING_TOO_SMALL',
      { gpuCount: 'is 2, and the listing has 1 in all' },
    ])
    // Raising the maximum helps where the asset is that of the offer.
    const price = { maxPricePerGpuHour: 'is 1 USDC, and the listing costs 3.6 USDC' }
    expect(await detailsOf(renter, { listing, maxPricePerGpuHour: '1' })).toMatchObject(['PRICE_ABOVE_MAXIMUM', price])
    // The same key again, once the price is low: its rental stays rejected.
    const request = { listing, maxPricePerGpuHour: '1', idempotencyKey: newId() }
    const changePrice = 'mutation ($input: ChangePriceInput!) { changePrice(input: $input) { __typename } }'
    for (const [pricePerGpuHour, now] of [
      ['3.6', 'the listing costs 3.6 USDC'],
      ['0.5', 'the listing cost more when it was asked, and 0.5 USDC now'],
    ]) {
      await provider.ask(changePrice, { input: { listing, pricePerGpuHour } })
      const why = expect.stringContaining(`${now}`)
      expect(await detailsOf(renter, request)).toMatchObject(['PRICE_ABOVE_MAXIMUM', { maxPricePerGpuHour: why }])
    }
    await provider.ask(changePrice, { input: { listing, pricePerGpuHour: '3.6' } })
    for (const asset of ['ETH/18', 'NMESH/18', 'USD/2']) {
      const [code, { asset: named, maxPricePerGpuHour }] = await detailsOf(renter, { listing, asset })
      expect([code, maxPricePerGpuHour]).toEqual(['PRICE_ABOVE_MAXIMUM', undefined])
      expect(named).toBe(`is ${asset}, and the listing is offered for USDC/6`)
      const byGpu = `is ${asset}, and what fits is offered for USDC/6`
      expect(await detailsOf(renter, { gpu: 'H100', asset })).toMatchObject(['PRICE_ABOVE_MAXIMUM', { asset: byGpu }])
    }
    expect(await detailsOf(await world.newUser(), { listing })).toMatchObject([
      'INSUFFICIENT_FUNDS',
      { needed: expect.stringMatching(/^[\d.]+ USDC$/), available: '0 USDC' },
    ])
  })

  test('a refusal of the listing or the account names the rejected rental, and nothing stays held', async () => {
    const listing = await newListing(1)
    const poor = await world.newUser()
    const unpaid = await rentAs(poor, { listing })
    await rentAs(renter, { listing })
    const full = await rentAs(renter, { listing })
    expect([unpaid, full]).toMatchObject([{ code: 'INSUFFICIENT_FUNDS' }, { code: 'LISTING_FULL' }])
    const details = Object.fromEntries(full.details.map(({ name, value }: Record<string, string>) => [name, value]))
    const selection = 'status refusal held { decimal } listing { freeGpus }'
    const { data } = await rentalOf(renter, details.rental, selection, details.position)
    expect(data.rental).toEqual({ status: 'rejected', refusal: 'LISTING_FULL', held: null, listing: { freeGpus: 0 } })
  })
})

describe('reading', () => {
  test('a rental is visible to its renter and its provider', async () => {
    const { id, position } = await rentAs(renter, { listing: await newListing() })
    const otherUser = await world.newUser()
    const codeOf = async (user: Pick<User, 'ask'>, rental = id) => {
      const { data, errors } = await rentalOf(user as User, rental, 'id', position)
      return errors?.[0]?.extensions.code ?? data.rental.id
    }
    expect([await codeOf(renter), await codeOf(provider)]).toEqual([id, id])
    expect([await codeOf(otherUser), await codeOf(world), await codeOf(renter, 'unknown')]).toEqual([
      'NOT_YOURS',
      'NOT_SIGNED_IN',
      'RENTAL_UNKNOWN',
    ])
  })

  test('a position that the read models do not reach, or that another store made, is an error', async () => {
    late = true
    const notReached = await world.ask('query ($at: Position) { gpuModels(atLeast: $at) }', { at: world.store.start })
    const foreign = await world.ask('{ gpuModels(atLeast: "elsewhere") }')
    const codes = [notReached, foreign].map(({ errors }) => errors?.[0]?.extensions.code)
    expect(codes).toEqual(['POSITION_NOT_REACHED', 'POSITION_FOREIGN'])
  })

  test('lists go page by page, by endCursor and by the cursor of any edge', async () => {
    const user = await world.newUser()
    await world.market.deposit(user.wallet, 1_000_000_000n)
    const listing = await newListing()
    const ids: string[] = []
    for (let index = 0; index < 5; index++) {
      world.market.pass(1)
      ids.unshift((await rentAs(user, { listing })).id)
    }
    const pageOf = async (first: number, after?: string) => {
      const { data } = await user.ask(
        `query ($first: Int, $after: String) { rentals(first: $first, after: $after, status: active) {
          edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
        { first, after },
      )
      return data.rentals
    }
    const first = await pageOf(2)
    const rest = await pageOf(5, first.pageInfo.endCursor)
    const second = await pageOf(1, first.edges[0].cursor)
    const seen = [...first.nodes, ...rest.nodes].map(({ id }: { id: string }) => id)
    expect(seen).toEqual(ids)
    expect(second.nodes).toEqual([{ id: ids[1] }])
    expect([first, rest].map(({ pageInfo }) => [pageInfo.hasPreviousPage, pageInfo.hasNextPage])).toEqual([
      [false, true],
      [true, false],
    ])
    expect(first.pageInfo.startCursor).toBe(first.edges[0].cursor)
    const asProvider = await provider.ask('{ rentals(as: provider, first: 100) { nodes { id } } }')
    expect(asProvider.data.rentals.nodes).toEqual(expect.arrayContaining(ids.map((id) => ({ id }))))
    for (const wrong of ['{ rentals(first: 101) { nodes { id } } }', '{ rentals(after: "x") { nodes { id } } }'])
      expect((await user.ask(wrong)).errors?.[0]?.extensions.code).toBe('INPUT_INVALID')
  })

  test('one node and a hundred cost the same queries', async () => {
    const user = await world.newUser()
    await world.market.deposit(user.wallet, 1_000_000_000n)
    const listings = await Promise.all(Array.from({ length: 20 }, () => newListing(8)))
    const requested = Array.from({ length: 100 }, (_, index) => listings[index % listings.length])
    await Promise.all(requested.map((listing) => rentAs(user, { listing }, 'id')))
    const labelsFor = async (first: number) => {
      world.asked.length = 0
      const { data } = await user.ask(
        `query ($first: Int) { rentals(first: $first) { nodes {
          id listing { id provider { name } } provider { id } invoice { id } } } }`,
        { first },
      )
      expect(data.rentals.nodes).toHaveLength(first)
      return [...world.asked].sort()
    }
    const queries = ['invoices.find', 'listings.find', 'providers.find', 'providers.find', 'rentals.list']
    expect([await labelsFor(1), await labelsFor(100)]).toEqual([queries, queries])
  })
})

describe('ending', () => {
  const endAs = async (user: User, rental: string) => {
    const { data } = await user.ask(
      `mutation ($input: EndRentalInput!) { endRental(input: $input) {
        ... on EndRentalSuccess { id position rental { status endReason runSeconds charged { decimal } } } ${refused} } }`,
      { input: { rental } },
    )
    return data.endRental
  }

  test('charges the seconds that it ran, and the ledger shows where each unit went', async () => {
    const { id } = await rentAs(renter, { listing: await newListing() })
    world.market.pass(90)
    const ended = await endAs(renter, id)
    expect(ended.rental).toEqual({
      status: 'settled',
      endReason: 'returned',
      runSeconds: 90,
      charged: { decimal: '0.09' },
    })
    const { data, errors } = await renter.ask(
      `query ($id: ID!, $at: Position) {
        invoice(id: $id, atLeast: $at) { total { decimal } released { decimal } lines { seconds firstEventId lastEventId periods amount { decimal } } rental { status } }
        invoices { nodes { id } }
        account { id balances { asset held { decimal } } }
        payments { nodes { status amount { decimal } } }
        ledgerEntries(first: 2) { nodes { type amount { decimal } } }
        ledgerSums { asset sum { amount } }
        moneyTrace(rental: $id) { funding { source amount { decimal } } steps { type eventId } } }`,
      { id, at: await world.store.head() },
    )
    expect(errors).toBeUndefined()
    expect(data.invoice).toMatchObject({
      total: { decimal: '0.09' },
      released: { decimal: '3.51' },
      lines: [{ seconds: 90, amount: { decimal: '0.09' } }],
      rental: { status: 'settled' },
    })
    expect(data.invoices.nodes).toEqual([{ id }])
    expect(data.ledgerSums).toEqual([{ asset: 'USDC/6', sum: { amount: '0' } }])
    expect(data.payments.nodes).toEqual([{ status: 'final', amount: { decimal: '1000' } }])
    expect(data.ledgerEntries.nodes).toEqual([
      { type: 'HoldReleased', amount: { decimal: '3.51' } },
      { type: 'HoldCaptured', amount: { decimal: '0.09' } },
    ])
    const { steps, funding } = data.moneyTrace
    expect(funding).toEqual([{ source: 'deposit', amount: { decimal: '3.6' } }])
    expect([steps[0].type, steps.at(-1).type]).toEqual(['DepositObserved', 'InvoiceIssued'])
    const metered = steps.find(({ type }: { type: string }) => type === 'UsageMetered')
    expect(data.invoice.lines[0]).toMatchObject({
      firstEventId: metered.eventId,
      lastEventId: metered.eventId,
      periods: 1,
    })
    const lines = async (page: string) => {
      const { data, errors } = await renter.ask(`{ invoice(id: "${id}") { lines(${page}) { number } } }`)
      return data?.invoice?.lines ?? errors?.[0]?.extensions?.code
    }
    expect(await lines('first: 100, offset: 0')).toEqual([{ number: 1 }])
    expect(await lines('first: 1, offset: 2147483647')).toEqual([])
    for (const page of ['first: 0', 'first: -5', 'first: 101', 'first: 2147483647', 'offset: -5'])
      expect([page, await lines(page)]).toEqual([page, expect.stringMatching(/^(INPUT_INVALID|QUERY_TOO_COSTLY)$/)])
  })

  test('is for the renter alone, once', async () => {
    const { id } = await rentAs(renter, { listing: await newListing() })
    expect(await endAs(provider, id)).toMatchObject({ code: 'NOT_YOURS' })
    const first = await endAs(renter, id)
    expect(await endAs(renter, id)).toEqual(first)
    expect(await endAs(renter, 'unknown')).toMatchObject({ code: 'RENTAL_UNKNOWN' })
  })
})
