import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let provider: User

const refused = '... on Error { code details { name value } }'
const register = async (user: Pick<User, 'ask'>, name = 'Northern Lights') => {
  const { data } = await user.ask(
    `mutation ($input: RegisterProviderInput!) { registerProvider(input: $input) {
      ... on RegisterProviderSuccess { id position provider { id name } } ${refused} } }`,
    { input: { name } },
  )
  return data.registerProvider
}
const mutate = async (user: Pick<User, 'ask'>, mutation: string, input: Record<string, unknown>) => {
  const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`
  const { data, errors } = await user.ask(
    `mutation ($input: ${type}Input!) { answer: ${mutation}(input: $input) {
      ... on ${type}Success { id position listing { status gpu region gpuCount pricePerGpuHour { decimal } } } ${refused} } }`,
    { input },
  )
  return data?.answer ?? errors
}
const offer = {
  gpu: 'A100',
  gpuCount: 4,
  vramMib: 40_960,
  vcpus: 16,
  memoryMib: 65_536,
  region: 'NO',
  pricePerGpuHour: '1.25',
}

beforeAll(async () => {
  world = await createGatewayWorld()
  provider = await world.newUser()
  await register(provider)
})
afterAll(() => world.close())

describe('a provider', () => {
  test('registers once, and is found by wallet in any case', async () => {
    const user = await world.newUser()
    const registered = await register(user, '  Sunny Side ')
    expect(registered.provider).toEqual({ id: user.wallet, name: 'Sunny Side' })
    expect(await register(user)).toMatchObject({ code: 'PROVIDER_ALREADY_REGISTERED' })
    expect(await register(await world.newUser(), '')).toMatchObject({ code: 'INPUT_INVALID' })
    const { data } = await world.ask('query ($id: ID!) { provider(id: $id) { name } }', {
      id: user.wallet.toUpperCase().replace('0X', '0x'),
    })
    expect(data.provider).toEqual({ name: 'Sunny Side' })
    const unknown = await world.ask('{ provider(id: "0x0") { name } }')
    expect(unknown.errors?.[0]?.extensions.code).toBe('PROVIDER_NOT_REGISTERED')
  })

  test('lists GPUs; the same key again is the same listing', async () => {
    const [first, again] = [
      await mutate(provider, 'listGpus', { ...offer, idempotencyKey: 'once' }),
      await mutate(provider, 'listGpus', { ...offer, idempotencyKey: 'once' }),
    ]
    expect(first.listing).toEqual({
      status: 'open',
      gpu: 'A100',
      region: 'NO',
      gpuCount: 4,
      pricePerGpuHour: { decimal: '1.25' },
    })
    expect(again).toEqual(first)
    expect(await mutate(provider, 'listGpus', { ...offer, gpu: 'B200', idempotencyKey: 'once' })).toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    })
  })

  test.each<[string, Record<string, unknown>]>([
    ['LISTING_INVALID', { gpuCount: 0 }],
    ['LISTING_INVALID', { vcpus: -1 }],
    ['LISTING_INVALID', { pricePerGpuHour: '0' }],
    ['INPUT_INVALID', { pricePerGpuHour: '-1' }],
  ])('is refused with %s for %j', async (code, change) => {
    expect(
      await mutate(provider, 'listGpus', { ...offer, idempotencyKey: JSON.stringify(change), ...change }),
    ).toMatchObject({
      code,
    })
  })

  test('must be registered to list', async () => {
    const otherUser = await world.newUser()
    expect(await mutate(otherUser, 'listGpus', { ...offer, idempotencyKey: 'a' })).toMatchObject({
      code: 'PROVIDER_NOT_REGISTERED',
    })
  })

  test('changes the price of its own listings and withdraws them', async () => {
    const { id } = await mutate(provider, 'listGpus', { ...offer, idempotencyKey: 'price' })
    const otherUser = await world.newUser()
    const change = { listing: id, pricePerGpuHour: '2' }
    expect(await mutate(otherUser, 'changePrice', change)).toMatchObject({ code: 'NOT_YOURS' })
    expect(await mutate(otherUser, 'withdrawListing', { listing: 'unknown' })).toMatchObject({
      code: 'LISTING_UNKNOWN',
    })
    expect((await mutate(provider, 'changePrice', change)).listing.pricePerGpuHour).toEqual({ decimal: '2' })
    expect((await mutate(provider, 'changePrice', change)).listing.pricePerGpuHour).toEqual({ decimal: '2' })
    expect((await mutate(provider, 'withdrawListing', { listing: id })).listing.status).toBe('withdrawn')
    expect(await mutate(provider, 'changePrice', { ...change, pricePerGpuHour: '3' })).toMatchObject({
      code: 'LISTING_WITHDRAWN',
    })
  })
})

describe('searching', () => {
  test('filters, sorts the cheapest first, and pages', async () => {
    const listed = async (change: Record<string, unknown>) =>
      mutate(provider, 'listGpus', { ...offer, gpu: 'H200', ...change, idempotencyKey: JSON.stringify(change) })
    await listed({ pricePerGpuHour: '3.5', region: 'FR' })
    await listed({ pricePerGpuHour: '2', vramMib: 141_000 })
    const { position } = await listed({ pricePerGpuHour: '2.9', gpuCount: 8 })
    const search = async (filter: object, first = 20, after?: string) => {
      const { data, errors } = await world.ask(
        `query ($filter: ListingFilter, $first: Int, $after: String, $at: Position) {
          listings(filter: $filter, first: $first, after: $after, atLeast: $at) {
            nodes { gpu pricePerGpuHour { decimal } provider { name } } pageInfo { hasNextPage endCursor } } }`,
        { filter: { gpu: 'h200', ...filter }, first, after, at: position },
      )
      return errors ?? data.listings
    }
    const prices = async (filter: object) =>
      (await search(filter)).nodes.map((node: { pricePerGpuHour: { decimal: string } }) => node.pricePerGpuHour.decimal)
    expect(await prices({})).toEqual(['2', '2.9', '3.5'])
    expect(await prices({ maxPricePerGpuHour: '3' })).toEqual(['2', '2.9'])
    expect(await prices({ gpuCountMin: 8 })).toEqual(['2.9'])
    expect(await prices({ vramMibMin: 100_000 })).toEqual(['2'])
    for (const region of ['FR', 'france']) expect(await prices({ region })).toEqual(['3.5'])
    expect(await prices({ region: 'Europe' })).toHaveLength(3)
    for (const region of ['R', 'US']) expect(await prices({ region })).toEqual([])
    for (const gpu of [' nvidia h200 ', 'H200 SXM', 'h_200']) expect(await prices({ gpu })).toHaveLength(3)
    expect(await prices({ maxPricePerGpuHour: '3', asset: 'USD/2' })).toEqual([])
    expect(await search({ maxPricePerGpuHour: 'cheap' })).toMatchObject([{ extensions: { code: 'INPUT_INVALID' } }])
    // What names nothing is no filter, with a price or without one.
    for (const wrong of [{ asset: 'x' }, { region: '  ' }, { region: '-' }])
      for (const price of [{}, { maxPricePerGpuHour: '3' }])
        expect(await search({ ...wrong, ...price })).toMatchObject([{ extensions: { code: 'INPUT_INVALID' } }])
    for (const none of [{ asset: null }, { asset: '' }, { region: null }, { region: '' }])
      expect(await prices(none)).toHaveLength(3)
    const first = await search({}, 2)
    const second = await search({}, 2, first.pageInfo.endCursor)
    expect([first.nodes.length, second.nodes.length, second.pageInfo.hasNextPage]).toEqual([2, 1, false])
    expect(first.nodes[0].provider).toEqual({ name: 'Northern Lights' })
  })
})

describe('importing offers', () => {
  const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region'
  const info = `"{'Gpus': [{'Name': 'L4', 'Count': '1', 'MemoryInfo': {'SizeInMiB': 24576}}], 'TotalGpuMemoryInMiB': 24576}"`
  const line = (price: string) => `1x_L4,L4,1,8,32,${info},${price},,FR`
  const importAs = async (user: Pick<User, 'ask'>, csv: string) => {
    const { data } = await user.ask(
      `mutation ($input: ImportOffersInput!) { importOffers(input: $input) {
        ... on ImportOffersSuccess { listed { line listing } unchanged { line } refused { line code message hint details { name value } } position }
        ${refused} } }`,
      { input: { csv } },
    )
    return data.importOffers
  }

  test('refuses invalid lines by number and imports the others; the same file again changes nothing', async () => {
    const csv = [header, line('0.5'), line('free'), line('0.7')].join('\n')
    const first = await importAs(provider, csv)
    expect(first.listed.map((listed: { line: number }) => listed.line)).toEqual([2, 4])
    expect(first.refused).toEqual([
      {
        line: 3,
        code: 'OFFER_LINE_INVALID',
        message: expect.any(String),
        hint: expect.any(String),
        details: expect.arrayContaining([{ name: 'column', value: 'Price' }]),
      },
    ])
    const again = await importAs(provider, csv)
    expect([again.listed, again.unchanged]).toEqual([[], [{ line: 2 }, { line: 4 }]])
  })

  test('is refused as a whole without a header, or for a wallet that is no provider', async () => {
    expect(await importAs(provider, 'hello')).toMatchObject({ code: 'INPUT_INVALID' })
    expect(await importAs(await world.newUser(), header)).toMatchObject({ code: 'PROVIDER_NOT_REGISTERED' })
  })
})

test('the chain shows what a wallet needs for a deposit', async () => {
  const { data } = await world.ask('{ chain { chainId rpcUrl token marketplace asset } head }')
  expect(data).toEqual({
    chain: {
      chainId: 31337,
      rpcUrl: 'http://127.0.0.1:8545',
      token: '0x0000000000000000000000000000000000000001',
      marketplace: '0x0000000000000000000000000000000000000002',
      asset: 'USDC/6',
    },
    head: await world.store.head(),
  })
})

test('a provider changes its name, and a wallet that is no provider is refused', async () => {
  const rename = async (user: Pick<User, 'ask'>) => {
    const { data } = await user.ask(
      `mutation { answer: renameProvider(input: { name: "Southern Lights" }) {
        ... on RenameProviderSuccess { provider { name } } ${refused} } }`,
    )
    return data.answer
  }
  expect(await rename(provider)).toEqual({ provider: { name: 'Southern Lights' } })
  expect(await rename(await world.newUser())).toMatchObject({ code: 'PROVIDER_NOT_REGISTERED' })
})
