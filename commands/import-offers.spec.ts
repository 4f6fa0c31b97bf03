import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { requestRental } from '../processes/rent-a-gpu.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { userActor } from './actor.ts'
import { createCommands, mustExecute } from './execute.ts'
import { newId } from './ids.ts'
import { earlierListingsIn, importAsBefore, listingsIn } from './import-offers.testing.ts'
import { importOffers, type OfferImportRequest } from './import-offers.ts'
import { withdrawOffers } from './withdraw-offers.ts'

const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,Region'
const line = (gpu: string, price: string, { type = 'm', mib = 163_118, region = 'France, FR, EU' } = {}) =>
  `${type},${gpu},2,32,64.0,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': ${mib}}}]}",${price},"${region}"`
const file = (...lines: string[]) => [header, ...lines].join('\n')

const market = async (...providers: string[]) => {
  const world = createMarket()
  for (const wallet of providers) {
    const ids = { commandId: newId(), correlationId: newId(), causationId: newId() }
    const register = { type: 'RegisterProvider', wallet, name: wallet, registeredAt: world.now() } as const
    const envelope = { ...ids, actor: userActor(wallet), time: world.now() }
    mustExecute(await world.commands.execute('provider', wallet, register, envelope))
  }
  const earlierListings = earlierListingsIn(world)
  const imported = async (csv: string, provider = 'paula', how: Partial<OfferImportRequest> = {}) => {
    const answer = await importOffers({ ...world, earlierListings }, { provider, csv, ...how })
    if (isRefusal(answer)) throw new Error(answer.refused)
    return answer
  }
  const listed = async () => {
    const listings: string[] = []
    for await (const { type, stream } of world.store.readAll()) if (type === 'GpusListed') listings.push(stream)
    return listings
  }
  /** Imports a file as the whole of what the provider offers. */
  const importedWhole = async (csv: string, how: Partial<OfferImportRequest> = {}) => {
    const answer = await imported(csv, 'paula', { whole: true, ...how })
    const keep = [answer.listed, answer.changed, answer.unchanged].flat().map(({ listing }) => listing)
    const openListings = async (provider: string) =>
      (await listingsIn(world))
        .filter((one) => one.provider === provider && one.status === 'open')
        .map(({ id }) => id)
        .toSorted()
    const { dryRun = false } = how
    const withdrawn = await withdrawOffers({ ...world, openListings }, { provider: 'paula', keep, dryRun })
    if (isRefusal(withdrawn)) throw new Error(withdrawn.refused)
    return { ...answer, withdrawn: withdrawn.withdrawn }
  }
  /** Resolves to the open listings: model, memory and price, sorted. */
  const open = async () =>
    (await listingsIn(world))
      .filter(({ status }) => status === 'open')
      .map(({ gpu, vramMib, price }) => `${gpu} ${vramMib} ${price}`)
      .toSorted()
  return { ...world, earlierListings, imported, importedWhole, listed, open }
}

test('every line becomes a listing of the provider', async () => {
  const world = await market('paula')
  const { listed, unchanged, refused, position } = await world.imported(file(line('H100', '7.2'), line('A100', '2')))
  expect(listed.map(({ line }) => line)).toEqual([2, 3])
  expect({ unchanged, refused, position }).toEqual({ unchanged: [], refused: [], position: await world.store.head() })
  expect(new Set(listed.map(({ listing }) => listing)).size).toBe(2)
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
    expect(again).toMatchObject({ listed: [], changed: [], unchanged: first.listed, refused: [], position: undefined })
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

describe('a line that is like nothing the provider has', () => {
  const csv = file(...Array.from({ length: 40 }, (_, n) => line('H100', '7.2', { type: `m${n}` })))

  test('costs one append and no read', async () => {
    const world = await market('paula')
    let reads = 0
    const store: EventStore = {
      ...world.store,
      readStream: (...asked) => {
        reads += 1
        return world.store.readStream(...asked)
      },
    }
    const provider = 'paula'
    const commands = createCommands({ store })
    const imported = (csv: string) =>
      importOffers({ ...world, commands, earlierListings: world.earlierListings }, { provider, csv })
    expect(await imported(csv)).toMatchObject({ listed: { length: 40 }, unchanged: [], refused: [] })
    expect(reads).toBe(1) // that of the provider
    // A dry run looks.
    await importOffers({ ...world, commands, earlierListings: async () => [] }, { provider, csv, dryRun: true })
    expect(reads).toBe(1 + 1 + 40)
  })

  test('and was listed all the same, since the read model is late, gets what any other gets', async () => {
    const knowing = await market('paula')
    const late = await market('paula')
    const lateBy = { ...late, earlierListings: async () => [] }
    const files = [csv, file(line('H100', '8', { type: 'm1' }), line('H100', '7.2', { type: 'm2' }), line('A100', '1'))]
    for (const whole of [false, true])
      for (const csv of [...files, ...files]) {
        const answer = await importOffers(lateBy, { provider: 'paula', csv, whole })
        // Positions are those of a store.
        const { position, ...expected } = await knowing.imported(csv, 'paula', { whole })
        expect(answer).toMatchObject(expected)
      }
    const eventsOf = async (world: typeof late) =>
      (await Array.fromAsync(world.store.readAll()))
        .map(({ type, stream, data }) => ({ type, stream, data }))
        .toSorted((a, b) => (a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : 0))
    expect(await eventsOf(late)).toEqual(await eventsOf(knowing))
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
  expect(await world.imported(header)).toMatchObject({ listed: [], unchanged: [], refused: [], position: undefined })
})

test('a file without a proper header is refused', async () => {
  const world = await market('paula')
  expect(
    await importOffers({ ...world, earlierListings: earlierListingsIn(world) }, { provider: 'paula', csv: 'what?' }),
  ).toMatchObject({ refused: 'INPUT_INVALID' })
})

test('a wallet that is not registered lists nothing', async () => {
  const world = await market()
  expect(
    await importOffers(
      { ...world, earlierListings: earlierListingsIn(world) },
      { provider: 'paula', csv: file(line('H100', '7.2')) },
    ),
  ).toEqual({
    refused: 'PROVIDER_NOT_REGISTERED',
    details: {},
  })
  expect(await world.listed()).toEqual([])
})

describe('a machine is found again by what the file calls it', () => {
  test('whatever it costs and however it is read', async () => {
    const world = await market('paula')
    const first = await world.imported(file(line('H100', '7.2')))
    for (const other of [
      line('H100', '9'),
      line('H100', '7.2', { mib: 999 }),
      line('H100', '7.2').replace(',2,', ',2.0,'),
    ]) {
      const again = await world.imported(file(other))
      expect([again.listed, again.unchanged]).toEqual([[], first.listed])
    }
    const { warnings } = await world.imported(file(line('H100', '9')))
    expect(warnings).toEqual([{ line: 2, warning: expect.stringContaining('another price') }])
    expect(await world.open()).toEqual(['H100 81559 3600000'])
  })

  test('and by which of equals it is, in a file in parts too', async () => {
    const csv = file(...Array.from({ length: 5 }, (_, index) => line('H100', String(index + 1))))
    const world = await market('paula')
    const { listed } = await world.imported(csv)
    const parts = [
      { lines: [line('H100', '1'), line('H100', '2')], firstLine: 2, equalsBefore: [0, 0] },
      { lines: [line('H100', '3')], firstLine: 4, equalsBefore: [2] },
      { lines: [line('H100', '4'), line('H100', '5')], firstLine: 5, equalsBefore: [3, 3] },
    ]
    const found = []
    for (const { lines, ...part } of parts)
      found.push(...(await world.imported(file(...lines), 'paula', { part: { ...part, matched: [] } })).unchanged)
    expect(found).toEqual(listed)
  })
})

describe('a file as the whole of the offers', () => {
  const dayOne = file(line('H100', '16', { type: 'a' }), line('H100', '18', { type: 'b', region: 'us' }))
  const dayTwo = file(line('H100', '14', { type: 'a' }))

  test('changes prices and withdraws what is gone', async () => {
    const world = await market('paula')
    const { listed } = await world.imported(dayOne)
    expect(await world.importedWhole(dayTwo)).toMatchObject({
      listed: [],
      changed: [listed[0]],
      withdrawn: [listed[1]?.listing],
    })
    expect(await world.open()).toEqual(['H100 81559 7000000'])
    const head = await world.store.head()
    expect(await world.importedWhole(dayTwo)).toMatchObject({ changed: [], unchanged: [listed[0]], withdrawn: [] })
    expect(await world.store.head()).toBe(head)
  })

  test('lists again what was withdrawn, each time anew', async () => {
    const world = await market('paula')
    const seen = new Set<string>()
    for (let day = 0; day < 6; day += 1) {
      const { listed } = await world.importedWhole(dayOne)
      for (const { listing } of listed) seen.add(listing)
      expect(await world.open()).toEqual(['H100 81559 8000000', 'H100 81559 9000000'])
      await world.importedWhole(dayTwo)
      expect(await world.open()).toEqual(['H100 81559 7000000'])
    }
    expect(seen.size).toBe(7)
    expect((await world.imported(dayOne)).warnings).toMatchObject([
      { line: 2, warning: expect.stringContaining('another price') },
      { line: 3, warning: expect.stringContaining('withdrawn') },
    ])
  })

  test('as a dry run does nothing, and tells the same', async () => {
    const world = await market('paula')
    await world.imported(dayOne)
    const head = await world.store.head()
    const dry = await world.importedWhole(dayTwo, { dryRun: true })
    expect(await world.store.head()).toBe(head)
    const done = await world.importedWhole(dayTwo)
    expect([dry.changed, dry.withdrawn]).toEqual([done.changed, done.withdrawn])
  })

  test('leaves what was listed by hand, and the machine of a line that cannot be read', async () => {
    const world = await market('paula')
    await world.list('by-hand', 1, undefined, 'paula')
    const { listed } = await world.imported(dayOne)
    const { refused } = await world.imported(file(line('H100', 'soon', { type: 'a' })), 'paula', { whole: true })
    expect(refused).toMatchObject([{ line: 2, listing: listed[0]?.listing }])
    await world.importedWhole(dayTwo)
    expect(await world.open()).toEqual(['H100 81559 3600000', 'H100 81559 7000000'])
  })

  test('does not offer a rented machine a second time', async () => {
    const world = await market('paula')
    const { listed } = await world.imported(dayOne)
    await world.deposit('renter', 100_000_000n)
    const terms = { gpuCount: 1, seconds: 3600n, maxPricePerGpuHour: usdc(90_000_000n) }
    const request = { renter: 'renter', idempotencyKey: 'k', listing: listed[1]?.listing ?? '', ...terms }
    expect(await requestRental(world, request)).toMatchObject({ outcome: 'active' })
    await world.importedWhole(dayTwo)
    const { warnings } = await world.importedWhole(dayOne)
    expect(warnings).toMatchObject([{ line: 3, warning: expect.stringContaining('still rented') }])
    expect(await world.open()).toEqual(['H100 81559 8000000'])
  })
})

describe('what was imported before machines were found by their names', () => {
  const lines = [line('H100', '7.2'), line('A100', '2', { mib: 81_920 }), line('H100', '7.2'), line('H100', '9')]

  test('is found, and nothing is listed twice', async () => {
    const world = await market('paula')
    const former = await importAsBefore(world, 'paula', file(...lines))
    const head = await world.store.head()
    const { listed, unchanged, matched } = await world.imported(file(...lines))
    expect([listed, unchanged.map(({ listing }) => listing).toSorted()]).toEqual([[], [...former].toSorted()])
    expect(matched).toHaveLength(4)
    expect(await world.store.head()).toBe(head)
  })

  test('also when prices and the order of the lines have changed', async () => {
    const world = await market('paula')
    await importAsBefore(world, 'paula', file(...lines))
    const dearer = lines.map((text) => text.replace(',7.2,', ',8.4,')).toReversed()
    expect((await world.imported(file(...dearer))).listed).toEqual([])
    await world.importedWhole(file(...dearer))
    expect(await world.open()).toEqual([
      'A100 40960 1000000',
      'H100 81559 4200000',
      'H100 81559 4200000',
      'H100 81559 4500000',
    ])
  })

  test('also beside machines that are listed now, in any order and in parts', async () => {
    const world = await market('paula')
    const machine = (type: string) => line('H100', '7.2', { type })
    await importAsBefore(world, 'paula', file(machine('a')))
    await world.imported(file(machine('a'), machine('b')))
    for (const types of ['ab', 'ba', 'b', 'a', 'ba']) {
      let matched: readonly string[] = []
      for (const [index, type] of [...types].entries()) {
        const part = { firstLine: index + 2, equalsBefore: [0], matched }
        const answer = await world.imported(file(machine(type)), 'paula', { part })
        expect([types, answer.listed]).toEqual([types, []])
        matched = [...matched, ...answer.matched]
      }
    }
    expect(await world.listed()).toHaveLength(2)
  })

  test('as an older file had listed it twice, one goes with the whole', async () => {
    const world = await market('paula')
    await importAsBefore(world, 'paula', file(line('H100', '16')))
    await importAsBefore(world, 'paula', file(line('H100', '14')))
    expect(await world.open()).toHaveLength(2)
    const { withdrawn } = await world.importedWhole(file(line('H100', '14')))
    expect([withdrawn.length, await world.open()]).toEqual([1, ['H100 81559 7000000']])
  })

  test('with memory that was misread is listed anew by the whole, and only warned of otherwise', async () => {
    const world = await market('paula')
    const misread = file(line('H100', '4', { mib: 160 }))
    await importAsBefore(world, 'paula', misread)
    const { listed, warnings } = await world.imported(misread)
    expect([listed, warnings]).toMatchObject([
      [],
      [{ line: 2, warning: expect.stringContaining('80 instead of 81920') }],
    ])
    await world.importedWhole(misread)
    await world.importedWhole(misread)
    expect(await world.open()).toEqual(['H100 81920 2000000'])
  })

  test('whatever the files: never more open listings than the whole file has lines', async () => {
    const anyLine = fc
      .tuple(fc.constantFrom('a', 'b'), fc.constantFrom('H100', 'A100'), fc.constantFrom('2', '4', '6'))
      .map(([type, gpu, price]) => line(gpu, price, { type }))
    const anyFile = fc.array(anyLine, { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(anyFile, fc.array(anyFile, { minLength: 1, maxLength: 3 }), async (before, files) => {
        const world = await market('paula')
        await importAsBefore(world, 'paula', file(...before))
        expect((await world.imported(file(...before))).listed).toEqual([])
        for (const lines of files) {
          await world.importedWhole(file(...lines))
          const prices = lines.map((text) => Number(text.split(',').at(-4)) * 500_000)
          const open = (await world.open()).map((text) => Number(text.split(' ').at(-1)))
          expect(open.toSorted()).toEqual(prices.toSorted())
          expect((await world.imported(file(...lines))).listed).toEqual([])
        }
      }),
      { numRuns: 40 },
    )
  })
})
