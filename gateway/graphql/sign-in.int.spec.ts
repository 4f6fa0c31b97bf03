import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

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

test('every mutation refuses a guest', async () => {
  const inputs = {
    rentGpu: { listing: 'a', hours: 1, maxPricePerGpuHour: '1', idempotencyKey: 'k' },
    endRental: { rental: 'a' },
    listGpus: {
      gpu: 'a',
      gpuCount: 1,
      vramMib: 1,
      vcpus: 1,
      memoryMib: 1,
      region: 'a',
      pricePerGpuHour: '1',
      idempotencyKey: 'k',
    },
    submitJob: { rental: 'a', command: ['a'], idempotencyKey: 'k' },
    stopJob: { job: 'a' },
    registerProvider: { name: 'a' },
    importOffers: { csv: '' },
    changePrice: { listing: 'a', pricePerGpuHour: '1' },
    withdrawListing: { listing: 'a' },
  }
  for (const [name, input] of Object.entries(inputs)) {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`
    const { data } = await world.ask(
      `mutation ($input: ${type}!) { answer: ${name}(input: $input) { ... on Error { code } } }`,
      { input },
    )
    expect([name, data.answer]).toEqual([name, { code: 'NOT_SIGNED_IN' }])
  }
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
