// What each viewer may ask about the money of others, query by query.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { newId } from '../../commands/ids.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
const names = ['stranger', 'renter', 'provider', 'analyst', 'auditor', 'operator'] as const
type Name = (typeof names)[number]
const keys = Object.fromEntries(names.map((name) => [name, privateKeyToAccount(generatePrivateKey())])) as Record<
  Name,
  ReturnType<typeof privateKeyToAccount>
>
const walletOf = (name: Name) => keys[name].address.toLowerCase()

let world: GatewayWorld
let users: Record<Name, User>
let rental: string
let payment: string
let transactionHash: string

beforeAll(async () => {
  world = await createGatewayWorld({
    services: () => ({
      privileged: {
        operators: [walletOf('operator')],
        auditors: [walletOf('auditor')],
        analysts: [walletOf('analyst')],
      },
    }),
  })
  const signedIn: [Name, User][] = []
  for (const name of names) signedIn.push([name, await world.newUser(keys[name])])
  users = Object.fromEntries(signedIn) as Record<Name, User>
  await world.market.deposit(users.renter.wallet, 1_000_000n)
  await world.market.deposit(users.renter.wallet, 9_000_000n)
  const listing = newId()
  await world.market.list(listing, 8, undefined, users.provider.wallet)
  rental = await rent('renter', listing)
  const other = newId()
  await world.market.list(other, 8, undefined, users.stranger.wallet)
  // The provider spends what it earned.
  await rent('provider', other, 60)
  const at = await world.store.head()
  const { data } = await users.renter.ask(
    'query ($at: Position) { payments(atLeast: $at) { nodes { id transactionHash amount { amount } } } }',
    { at },
  )
  const first = data.payments.nodes.find(({ amount }: { amount: { amount: string } }) => amount.amount === '1000000')
  payment = first.id
  transactionHash = first.transactionHash
  await users.renter.ask(
    'query ($at: Position) { rentals(atLeast: $at) { nodes { id } } invoices(atLeast: $at) { nodes { id } } ledgerEntries(atLeast: $at) { nodes { id } } account(atLeast: $at) { id balances { asset } } }',
    { at },
  )
})
afterAll(() => world.close())

/** Rents for an hour and gives it back after 600 seconds, or rents for so many seconds to the end. */
const rent = async (name: Name, listing: string, seconds = 3_600): Promise<string> => {
  const { data } = await users[name].ask(
    'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } ... on Error { code } } }',
    { input: { listing, seconds, maxPricePerGpuHour: '4', idempotencyKey: listing } },
  )
  const { id } = data.rentGpu
  world.market.pass(Math.min(seconds, 600))
  await users[name].ask('mutation ($id: ID!) { endRental(input: { rental: $id }) { __typename } }', { id })
  return id
}

const queries = {
  account: '{ account(wallet: $wallet) { id balances { available { amount } held { amount } } } }',
  ledgerEntries: '{ ledgerEntries(wallet: $wallet) { nodes { id } } }',
  payments: '{ payments(wallet: $wallet) { nodes { user } } }',
  rentals: '{ rentals(wallet: $wallet) { nodes { id renter } } }',
  invoices: '{ invoices(wallet: $wallet) { nodes { id renter } } }',
  payment: '{ payment(id: $payment) { id user transactionHash } }',
  rental: '{ rental(id: $rental) { id renter } }',
  invoice: '{ invoice(id: $rental) { id renter total { amount } } }',
  moneyTrace: '{ moneyTrace(rental: $rental) { rental renter funding { source id } steps { type cites } } }',
  paymentsOfTransaction: '{ paymentsOfTransaction(transactionHash: $hash) { nodes { id user } } }',
  moneyUses: '{ moneyUses(payment: $payment) { owner uses { id spent { amount } } } }',
} as const
type QueryName = keyof typeof queries

/** Resolves to what a viewer is answered, or the code that it is refused with. */
const answerTo = async (viewer: Name | 'guest', query: QueryName) => {
  const types = { wallet: 'ID', payment: 'ID!', rental: 'ID!', hash: 'ID!' }
  const used = Object.entries(types).filter(([name]) => queries[query].includes(`$${name}`))
  const variables = { wallet: keys.renter.address, payment, rental, hash: transactionHash }
  const text = `query (${used.map(([name, type]) => `$${name}: ${type}`).join(', ')}) ${queries[query]}`
  const { data, errors } = await (viewer === 'guest' ? world : users[viewer]).ask(text, variables)
  return errors ? errors[0]?.extensions.code : data[query]
}

const byWallet = ['account', 'ledgerEntries', 'payments', 'rentals', 'invoices'] as const
const ofOwner = ['payment', 'moneyTrace', 'moneyUses'] as const
const ofParties = ['rental', 'invoice'] as const

describe.each(Object.keys(queries) as QueryName[])('%s of a renter', (query) => {
  test('is the same for the renter, an auditor and an operator', async () => {
    const own = await answerTo('renter', query)
    expect(own).toEqual(expect.any(Object))
    expect(await answerTo('auditor', query)).toEqual(own)
    expect(await answerTo('operator', query)).toEqual(own)
  })

  test('is refused for a guest', async () => expect(await answerTo('guest', query)).toBe('NOT_SIGNED_IN'))
})

describe('others', () => {
  test.each(byWallet)('may not name the wallet of another: %s', async (query) => {
    for (const viewer of ['stranger', 'provider', 'analyst'] as const)
      expect(await answerTo(viewer, query)).toBe('PRIVILEGE_NEEDED')
  })

  test.each(ofOwner)('may not ask for %s of another', async (query) => {
    for (const viewer of ['stranger', 'provider', 'analyst'] as const)
      expect(await answerTo(viewer, query)).toBe('NOT_YOURS')
  })

  test.each(ofParties)('may ask for the %s only as its provider', async (query) => {
    for (const viewer of ['stranger', 'analyst'] as const) expect(await answerTo(viewer, query)).toBe('NOT_YOURS')
    expect(await answerTo('provider', query)).toEqual(await answerTo('renter', query))
  })

  test('find no payment of another by its transaction', async () => {
    for (const viewer of ['stranger', 'provider', 'analyst'] as const)
      expect(await answerTo(viewer, 'paymentsOfTransaction')).toEqual({ nodes: [] })
  })
})

describe('an auditor', () => {
  const audit = async (query: string, variables: object = {}) => users.auditor.ask(query, variables)

  test('goes from a transaction to the invoice and back', async () => {
    const { data: found } = await audit(
      'query ($hash: ID!) { paymentsOfTransaction(transactionHash: $hash, first: 1) { nodes { id } pageInfo { hasNextPage } } }',
      { hash: transactionHash.toUpperCase() },
    )
    expect(found.paymentsOfTransaction).toEqual({ nodes: [{ id: payment }], pageInfo: { hasNextPage: false } })
    const { data: forwards } = await audit(
      'query ($id: ID!) { moneyUses(payment: $id) { source id owner usesCount uses { id rental { status } invoice { total { amount } } held { amount } spent { amount } } } }',
      { id: payment },
    )
    // The first payment is the first million of the hold of 3.6 and of the cost of 0.6.
    expect(forwards.moneyUses).toEqual({
      source: 'deposit',
      id: payment,
      owner: users.renter.wallet,
      usesCount: 1,
      uses: [
        {
          id: rental,
          rental: { status: 'settled' },
          invoice: { total: { amount: '600000' } },
          held: { amount: '1000000' },
          spent: { amount: '600000' },
        },
      ],
    })
    const { data: back } = await audit(
      'query ($id: ID!) { moneyTrace(rental: $id) { funding { id } steps { type cites } } }',
      { id: forwards.moneyUses.uses[0].id },
    )
    expect(back.moneyTrace.funding[0]).toEqual({ id: payment })
    const observed = back.moneyTrace.steps.filter(({ type }: { type: string }) => type === 'DepositObserved')
    expect(observed.flatMap(({ cites }: { cites: string[] }) => cites)).toContain(transactionHash)
  })

  test('follows what a rental earned to what it paid', async () => {
    const query = 'query ($id: ID!) { moneyUses(rental: $id) { source owner uses { spent { amount } } } }'
    const { data } = await audit(query, { id: rental })
    const expected = { source: 'earnings', owner: users.provider.wallet, uses: [{ spent: { amount: '60000' } }] }
    expect(data.moneyUses).toEqual(expected)
    expect((await users.provider.ask(query, { id: rental })).data.moneyUses).toEqual(expected)
    for (const viewer of ['renter', 'stranger', 'analyst'] as const)
      expect((await users[viewer].ask(query, { id: rental })).errors?.[0]?.extensions.code).toBe('NOT_YOURS')
  })

  test('is told what it may name, and may not repair the platform', async () => {
    const codeOf = async (query: string) => (await audit(query)).errors?.[0]?.extensions.code
    expect(await codeOf('{ account(wallet: "ada") { id } }')).toBe('INPUT_INVALID')
    expect(await codeOf('{ moneyUses { id } }')).toBe('INPUT_INVALID')
    expect(await codeOf('{ moneyUses(payment: "a", rental: "b") { id } }')).toBe('INPUT_INVALID')
    expect(await codeOf('{ moneyUses(payment: "") { id } }')).toBe('PAYMENT_UNKNOWN')
    expect(await codeOf('{ moneyUses(rental: "nothing") { id } }')).toBe('RENTAL_UNKNOWN')
    expect(await codeOf('{ projections { name } }')).toBeUndefined()
    const retry = 'mutation { retryParkedStream(input: { projection: "a", stream: "b" }) { ... on Error { code } } }'
    expect((await audit(retry)).data.retryParkedStream).toEqual({ code: 'PRIVILEGE_NEEDED' })
    expect((await audit('{ viewer { privilege } }')).data.viewer).toEqual({ privilege: 'auditor' })
  })

  test('reads events without the free text of others, as an analyst does', async () => {
    const query = '{ events(filter: { types: [FundsHeld] }) { nodes { id } } }'
    const { data } = await audit(query)
    expect(data.events.nodes).toHaveLength(2)
    expect((await users.analyst.ask(query)).data).toEqual(data)
  })
})
