import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { newId } from '../../commands/ids.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { operationsOf, queryOf, queryWays } from './schema-walk.testing.ts'
import { subscriptionErrorCode } from './subscriptions.testing.ts'

const ada = privateKeyToAccount(generatePrivateKey())
const eve = privateKeyToAccount(generatePrivateKey())
let world: GatewayWorld

beforeAll(async () => {
  world = await createGatewayWorld()
})
afterAll(() => world.close())

const refusal = '... on Error { code details { name value } }'
const askMessage = async (address: string) => {
  const { data } = await world.ask(
    `mutation ($input: SignInMessageInput!) { signInMessage(input: $input) { ... on SignInMessageSuccess { message } ${refusal} } }`,
    { input: { address } },
  )
  return data.signInMessage
}
const signIn = async (message: string, signature: string) => {
  const { data } = await world.ask(
    `mutation ($input: SignInInput!) { signIn(input: $input) { ... on SignInSuccess { token wallet } ${refusal} } }`,
    { input: { message, signature } },
  )
  return data.signIn
}

test('a wallet signs in and is the viewer, in lower case', async () => {
  const { message } = await askMessage(ada.address)
  const { token, wallet } = await signIn(message, await ada.signMessage({ message }))
  const { data } = await world.ask('{ viewer { id provider { name } } }', {}, token)
  expect([wallet, data]).toEqual([
    ada.address.toLowerCase(),
    { viewer: { id: ada.address.toLowerCase(), provider: null } },
  ])
})

test('the viewer of a guest is null', async () => {
  expect((await world.ask('{ viewer { id } }')).data).toEqual({ viewer: null })
})

describe('a sign-in is refused', () => {
  test('for an invalid address', async () => {
    expect(await askMessage('ada')).toEqual({
      code: 'INPUT_INVALID',
      details: [{ name: 'address', value: '0x and 40 hexadecimal digits' }],
    })
  })

  test('for a signature of another wallet', async () => {
    const { message } = await askMessage(ada.address)
    expect(await signIn(message, await eve.signMessage({ message }))).toMatchObject({
      code: 'SIGN_IN_SIGNATURE_INVALID',
    })
  })

  test('for a message that was used before', async () => {
    const { message } = await askMessage(ada.address)
    const signature = await ada.signMessage({ message })
    expect([await signIn(message, signature), await signIn(message, signature)]).toMatchObject([
      { wallet: ada.address.toLowerCase() },
      { code: 'SIGN_IN_NONCE_UNKNOWN' },
    ])
  })

  test('for a message that names another host', async () => {
    const message = (await askMessage(ada.address)).message.replaceAll(/127\.0\.0\.1:\d+/g, 'phish.example.com')
    expect(await signIn(message, await ada.signMessage({ message }))).toMatchObject({
      code: 'SIGN_IN_SIGNATURE_INVALID',
      details: expect.arrayContaining([{ name: 'domain', value: 'phish.example.com' }]),
    })
  })

  test('after five minutes', async () => {
    const { message } = await askMessage(ada.address)
    world.market.pass(5 * 60)
    expect(await signIn(message, await ada.signMessage({ message }))).toMatchObject({ code: 'SIGN_IN_NONCE_UNKNOWN' })
  })

  test('for a text that is not a sign-in message', async () => {
    expect(await signIn('let me in', '0x00')).toMatchObject({ code: 'INPUT_INVALID' })
  })
})

test('a token expires after twelve hours', async () => {
  const { token } = await world.newUser()
  world.market.pass(12 * 60 * 60)
  const { status, errors } = await world.ask('{ head }', {}, token)
  expect([status, errors?.[0]?.extensions.code]).toEqual([401, 'TOKEN_INVALID'])
})

describe('a guest', () => {
  /** What a guest may ask: the market, and what is about no wallet. All else in the schema is refused. */
  const open = {
    query: [
      ...['listing', 'listings', 'gpuModels', 'provider', 'chain', 'head'],
      'viewer', // null for a guest
    ],
    mutation: ['signInMessage', 'signIn'],
    subscription: ['listingChanged'],
  } as const

  type Kind = keyof typeof open
  const isOpen = (kind: Kind, name: string | undefined) => open[kind].some((one) => one === name)

  let renter: string
  /** By name of a field, its id; `id` of all others is that of the rental. */
  let ids: Readonly<Record<string, string>>
  beforeAll(async () => {
    const [owner, user] = [await world.newUser(), await world.newUser()]
    renter = user.wallet
    await owner.ask('mutation { registerProvider(input: { name: "Paula" }) { __typename } }')
    await world.market.deposit(renter, 10_000_000n)
    const listing = newId()
    await world.market.list(listing, 1, undefined, owner.wallet)
    const rented = await user.ask(
      'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } } }',
      { input: { listing, hours: 1, maxPricePerGpuHour: '4', idempotencyKey: 'rental' } },
    )
    const rental = rented.data.rentGpu.id
    const submitted = await user.ask(
      'mutation ($input: SubmitJobInput!) { submitJob(input: $input) { ... on SubmitJobSuccess { id position } } }',
      { input: { rental, command: ['true'], idempotencyKey: 'job' } },
    )
    const { id: job, position } = submitted.data.submitJob
    const paid = await user.ask(
      'query ($at: Position) { payments(atLeast: $at) { nodes { id } } listings(atLeast: $at) { nodes { id } } }',
      { at: position },
    )
    const payment = paid.data.payments.nodes[0].id
    ids = { rental, listing, job, payment, provider: owner.wallet }
  })

  /** Returns all operations of this kind that name a wallet, and what is of it. */
  const operations = (kind: Kind) => {
    const { rental = '', job = '', listing = '' } = ids
    return operationsOf(kind, (field) => ({ wallet: renter, rental, job, listing, id: ids[field] ?? rental }))
  }

  test.each(['query', 'mutation', 'subscription'] as const)(
    'is refused whatever is about a wallet, by each %s of the schema',
    async (kind) => {
      const codeOf = async (operation: string) => {
        if (kind === 'subscription') return subscriptionErrorCode(world.socket(), operation, {})
        const { data, errors } = await world.ask(operation)
        return errors?.[0]?.extensions.code ?? data?.answer?.code
      }
      const closed = operations(kind).filter(({ name }) => !isOpen(kind, name))
      const answered: unknown[] = []
      for (const { name, operation } of closed) answered.push([name, await codeOf(operation)])
      expect(answered).toEqual(closed.map(({ name }) => [name, 'NOT_SIGNED_IN']))
      expect([...open[kind]].filter((name) => !operations(kind).some((one) => one.name === name))).toEqual([])
    },
  )

  test('sees no renter on any way through the market', async () => {
    const argumentsOf = ({ name, args }: { readonly name: string; readonly args: readonly { name: string }[] }) =>
      args.some((argument) => argument.name === 'id') ? `(id: ${JSON.stringify(ids[name])})` : ''
    const ways = queryWays((name) => isOpen('query', name))
    for (const way of ways) {
      const query = queryOf(way, argumentsOf, { aliases: 1, at: 0 })
      const { data, errors } = await world.ask(query)
      if (errors) expect([query, errors[0]?.extensions.code]).toEqual([query, 'NOT_SIGNED_IN'])
      expect(JSON.stringify([query, data])).not.toContain(renter)
    }
    expect(ways.length).toBeGreaterThan(20)
  })
})

describe('over WebSocket', () => {
  const viewerOf = async (connectionParams: Record<string, unknown>) => {
    const client = world.socket(connectionParams)
    try {
      for await (const { data } of client.iterate<{ viewer: unknown }>({ query: '{ viewer { id } }' }))
        return data?.viewer
      return undefined
    } finally {
      await client.dispose()
    }
  }

  test('the token comes with connection_init, in either form', async () => {
    const { token, wallet } = await world.newUser()
    for (const parameters of [{ authorization: `Bearer ${token}` }, { token }])
      expect(await viewerOf(parameters)).toEqual({ id: wallet })
    expect(await viewerOf({})).toBeNull()
  })

  test.each([{ token: 'wrong' }, { authorization: 'wrong' }, { token: 1 }])(
    'the connection is closed for good with %j',
    async (parameters) => {
      await expect(viewerOf(parameters)).rejects.toMatchObject({ code: 4401, reason: 'TOKEN_INVALID' })
    },
  )

  test('a token that expires while the connection is open is an error of the next operation', async () => {
    const { token } = await world.newUser()
    const client = world.socket({ token })
    const ask = async () => {
      for await (const { data } of client.iterate<{ head: string }>({ query: '{ head }' })) return data
      return undefined
    }
    // A subscription keeps the connection open between the two.
    const open = client.iterate({ query: 'subscription { listingChanged { event } }' })
    const waiting = open.next()
    expect(await ask()).toEqual({ head: expect.any(String) })
    world.market.pass(12 * 60 * 60)
    await expect(ask()).rejects.toEqual([
      expect.objectContaining({ extensions: expect.objectContaining({ code: 'TOKEN_INVALID' }) }),
    ])
    await open.return?.()
    await waiting
    await client.dispose()
  })
})
