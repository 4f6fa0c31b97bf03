import { describe, expect, test } from '@jest/globals'
import { isRefusal } from '../domain/errors.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { userActor } from './actor.ts'
import { mustExecute } from './execute.ts'
import { newId } from './ids.ts'
import { importOffers } from './import-offers.ts'

const header = 'AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,Region'
const line = (gpu: string, price: string) =>
  `${gpu},2,32,64.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 163118}}]}",${price},"France, FR, EU"`
const file = (...lines: string[]) => [header, ...lines].join('\n')

const market = async (...providers: string[]) => {
  const world = createMarket()
  for (const wallet of providers) {
    const ids = { commandId: newId(), correlationId: newId(), causationId: newId() }
    const register = { type: 'RegisterProvider', wallet, name: wallet, registeredAt: world.now() } as const
    const envelope = { ...ids, actor: userActor(wallet), time: world.now() }
    mustExecute(await world.commands.execute('provider', wallet, register, envelope))
  }
  const imported = async (csv: string, provider = 'paula') => {
    const answer = await importOffers(world, { provider, csv })
    if (isRefusal(answer)) throw new Error(answer.refused)
    return answer
  }
  const listed = async () => {
    const listings: string[] = []
    for await (const { type, stream } of world.store.readAll()) if (type === 'GpusListed') listings.push(stream)
    return listings
  }
  return { ...world, imported, listed }
}

test('every line becomes a listing of the provider', async () => {
  const world = await market('paula')
  const { listed, unchanged, refused, position } = await world.imported(file(line('H100', '7.2'), line('A100', '2')))
  expect(listed.map(({ line }) => line)).toEqual([2, 3])
  expect({ unchanged, refused, position }).toEqual({ unchanged: [], refused: [], position: await world.store.head() })
  expect(await world.state('listing', listed[0]?.listing ?? '')).toMatchObject({
    status: 'open',
    provider: 'paula',
    gpu: 'H100',
    gpuCount: 2,
    vramMib: 81_559,
    pricePerGpuHour: { amount: 3_600_000n },
  })
})

describe('the same file again', () => {
  const csv = file(line('H100', '7.2'), line('A100', '2'), line('H100', '7.2'))

  test('changes nothing, and returns where the listings are', async () => {
    const world = await market('paula')
    const first = await world.imported(csv)
    const head = await world.store.head()
    world.pass(3600)
    const again = await world.imported(csv)
    expect(again).toEqual({ listed: [], unchanged: first.listed, refused: [], position: first.position })
    expect(await world.store.head()).toBe(head)
  })

  test('at the same time lists everything once', async () => {
    const world = await market('paula')
    await Promise.all([world.imported(csv), world.imported(csv), world.imported(csv)])
    expect(await world.listed()).toHaveLength(3)
  })

  test('finishes what was cut off, and new lines are added', async () => {
    const world = await market('paula')
    const first = await world.imported(file(line('H100', '7.2')))
    const again = await world.imported(csv)
    expect(again.unchanged).toEqual(first.listed)
    expect(again.listed.map(({ line }) => line)).toEqual([3, 4])
    expect(await world.listed()).toHaveLength(3)
  })

  test('by another provider lists it for that one', async () => {
    const world = await market('paula', 'peter')
    await world.imported(csv)
    expect((await world.imported(csv, 'peter')).listed).toHaveLength(3)
    expect(await world.listed()).toHaveLength(6)
  })
})

test('lines of the same content are separate listings', async () => {
  const world = await market('paula')
  const { listed } = await world.imported(file(...Array.from({ length: 40 }, () => line('H100', '7.2'))))
  expect(new Set(listed.map(({ listing }) => listing)).size).toBe(40)
  expect(await world.listed()).toHaveLength(40)
})

test('broken lines are named in the order of the file, the others are listed', async () => {
  const world = await market('paula')
  const csv = file('x', line('H100', '7.2'), line('H100', '0'), line('A100', '2'))
  const { listed, refused } = await world.imported(csv)
  expect(listed.map(({ line }) => line)).toEqual([3, 5])
  expect(refused).toMatchObject([
    { line: 2, refusal: { refused: 'OFFER_LINE_INVALID' } },
    { line: 4, refusal: { refused: 'OFFER_LINE_INVALID', details: { column: 'Price' } } },
  ])
})

test('a file without an offer lists nothing and has no position', async () => {
  const world = await market('paula')
  expect(await world.imported(header)).toEqual({ listed: [], unchanged: [], refused: [], position: undefined })
})

test('a file without a proper header is refused', async () => {
  const world = await market('paula')
  expect(await importOffers(world, { provider: 'paula', csv: 'what?' })).toMatchObject({ refused: 'INPUT_INVALID' })
})

test('a wallet that is not registered lists nothing', async () => {
  const world = await market()
  expect(await importOffers(world, { provider: 'paula', csv: file(line('H100', '7.2')) })).toEqual({
    refused: 'PROVIDER_NOT_REGISTERED',
    details: {},
  })
  expect(await world.listed()).toEqual([])
})
