import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { newId } from '../../commands/ids.ts'
import { Failure } from '../../domain/errors.ts'
import { eventually } from '../../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { countSubscriptions, openServerSentEvents } from '../../testing/worlds/gateway-streams.ts'
import { subscriptionErrorCode } from './subscriptions.testing.ts'

const open = { count: 0 }
let broken = false
let world: GatewayWorld
let renter: Awaited<ReturnType<GatewayWorld['newUser']>>

beforeAll(async () => {
  world = await createGatewayWorld({
    services: ({ store }) => {
      const counted = countSubscriptions(store, open)
      return {
        store: {
          ...counted,
          subscribe: async function* (options) {
            for await (const batch of counted.subscribe(options)) {
              if (broken) throw new Failure('DATABASE_UNAVAILABLE')
              yield batch
            }
          },
        },
      }
    },
  })
  renter = await world.newUser()
  await world.market.deposit(renter.wallet, 1_000_000_000n)
})
afterAll(() => world.close())
beforeEach(() => eventually('no subscription is open', () => open.count === 0))

const rent = async () => {
  const listing = newId()
  await world.market.list(listing, 8)
  const { data } = await renter.ask(
    `mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id position } ... on Error { code } } }`,
    { input: { listing, hours: 1, maxPricePerGpuHour: '4', idempotencyKey: newId() } },
  )
  return data.rentGpu as { id: string; position: string }
}
const end = async (rental: string) => {
  await renter.ask('mutation ($input: EndRentalInput!) { endRental(input: $input) { __typename } }', {
    input: { rental },
  })
}

const query = `subscription ($id: ID!, $after: Position) { rentalUpdated(id: $id, after: $after) {
  position event rental { status charged { decimal } listing { id } } } }`
type Update = { position: string; event: string; rental: { status: string; charged: { decimal: string } } }

/** The same for both transports: reads updates one by one, and leaves. */
const transports = {
  WebSocket: async (id: string, after?: string) => {
    const client = world.socket({ token: renter.token })
    const updates = client.iterate<{ rentalUpdated: Update }>({ query, variables: { id, after } })
    return {
      next: async () => {
        const { done, value } = await updates.next()
        return done ? undefined : (value.data?.rentalUpdated ?? value)
      },
      leave: async () => {
        await updates.return?.()
        await client.dispose()
      },
    }
  },
  'server-sent events': async (id: string, after?: string) => {
    const events = await openServerSentEvents(world.url, { query, variables: { id, after }, token: renter.token })
    return {
      next: async () => {
        const answer = await events.next()
        return answer?.data?.rentalUpdated ?? answer
      },
      leave: async () => events.close(),
    }
  },
} as const

describe.each(Object.entries(transports))('over %s', (_name, subscribe) => {
  const take = async (updates: { next(): Promise<Update | undefined> }, count: number) => {
    const taken: Update[] = []
    while (taken.length < count) {
      const update = await updates.next()
      if (!update) break
      taken.push(update)
    }
    return taken
  }

  test('yields the rental as it is, then each change, as of its event', async () => {
    const { id } = await rent()
    const updates = await subscribe(id)
    const [snapshot] = await take(updates, 1)
    world.market.pass(60)
    await end(id)
    const received = [snapshot, ...(await take(updates, 3))]
    expect(received.map((update) => [update?.event, update?.rental.status, update?.rental.charged.decimal])).toEqual([
      ['Snapshot', 'active', '0'],
      ['UsageMetered', 'active', '0.06'],
      ['RentalEnded', 'ended', '0.06'],
      ['InvoiceIssued', 'settled', '0.06'],
    ])
    await updates.leave()
  })

  test('resumes after any update with the next one: none is left out or repeated', async () => {
    const { id } = await rent()
    world.market.pass(60)
    await end(id)
    const whole = await subscribe(id, world.store.start)
    const all = await take(whole, 5)
    await whole.leave()
    expect(all.map(({ event }) => event)).toEqual([
      'RentalRequested',
      'RentalActivated',
      'UsageMetered',
      'RentalEnded',
      'InvoiceIssued',
    ])
    for (const [index, { position }] of all.slice(0, -1).entries()) {
      const rest = await subscribe(id, position)
      expect(await take(rest, all.length - 1 - index)).toEqual(all.slice(index + 1))
      await rest.leave()
    }
  })

  test('leaving ends the subscription to the log', async () => {
    const { id } = await rent()
    const updates = await subscribe(id)
    await take(updates, 1)
    expect(open.count).toBe(1)
    await updates.leave()
    await eventually('the subscription has ended', () => open.count === 0)
  })

  test('a database that becomes unavailable is an error with its code', async () => {
    const { id } = await rent()
    const updates = await subscribe(id)
    await take(updates, 1)
    broken = true
    try {
      const ended = end(id)
      const answer = await updates.next().catch((error: unknown) => ({ errors: error }))
      expect(answer).toMatchObject({ errors: [{ extensions: { code: 'DATABASE_UNAVAILABLE' } }] })
      await ended
    } finally {
      broken = false
      await updates.leave()
    }
  })
})

describe('a subscription is refused', () => {
  const codeOf = (document: string, variables: Record<string, unknown>, token?: string) =>
    subscriptionErrorCode(world.socket(token === undefined ? {} : { token }), document, variables)

  test('to a guest, to another user, and for an unknown id', async () => {
    const { id } = await rent()
    const otherUser = await world.newUser()
    expect(await codeOf(query, { id })).toBe('NOT_SIGNED_IN')
    expect(await codeOf(query, { id }, otherUser.token)).toBe('NOT_YOURS')
    expect(await codeOf(query, { id: 'unknown' }, renter.token)).toBe('RENTAL_UNKNOWN')
    expect(await codeOf('subscription { paymentUpdated { event } }', {})).toBe('NOT_SIGNED_IN')
    expect(await codeOf('subscription { jobProgress(job: "unknown") { event } }', {}, renter.token)).toBe('JOB_UNKNOWN')
  })

  test('after a position of another store', async () => {
    const { id } = await rent()
    expect(await codeOf(query, { id, after: 'elsewhere' }, renter.token)).toBe('POSITION_FOREIGN')
  })
})

test('listingChanged yields the listings of one model, paymentUpdated the payments of the viewer alone', async () => {
  const client = world.socket({ token: renter.token })
  const after = await world.store.head()
  const listing = newId()
  await world.market.list(newId(), 1)
  await world.market.deposit('0x00000000000000000000000000000000000000ff', 5n)
  await world.market.list(listing, 4)
  await world.market.deposit(renter.wallet, 7n)
  const first = async (document: string, count: number) => {
    const found: unknown[] = []
    for await (const { data } of client.iterate({ query: document, variables: { after } })) {
      found.push(data)
      if (found.length === count) break
    }
    return found
  }
  expect(
    await first(
      'subscription ($after: Position) { listingChanged(gpu: "h100", after: $after) { event listing { gpuCount } } }',
      2,
    ),
  ).toEqual([
    { listingChanged: { event: 'GpusListed', listing: { gpuCount: 1 } } },
    { listingChanged: { event: 'GpusListed', listing: { gpuCount: 4 } } },
  ])
  expect(
    await first(
      'subscription ($after: Position) { paymentUpdated(after: $after) { event payment { status amount { amount } } } }',
      2,
    ),
  ).toEqual([
    { paymentUpdated: { event: 'DepositObserved', payment: { status: 'observed', amount: { amount: '7' } } } },
    { paymentUpdated: { event: 'DepositFinalized', payment: { status: 'final', amount: { amount: '7' } } } },
  ])
  await client.dispose()
})
