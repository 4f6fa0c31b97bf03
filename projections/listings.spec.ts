import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { gpuKeyOf, gpuNameOf, knownGpuKeys } from '../domain/gpu-models.ts'
import type { Event } from '../domain/listing.ts'
import { usdc } from '../domain/money.testing.ts'
import { areas } from '../domain/regions.testing.ts'
import { regionTagsOf } from '../domain/regions.ts'
import { at, rowsOf, stampsOf } from './engine/log.testing.ts'
import { listings } from './listings.ts'

const offer = { provider: '0xp', gpu: 'H100', gpuCount: 8, vramMib: 81_559, vcpus: 32, memoryMib: 65_536, region: 'FR' }
const listed: Event = { type: 'GpusListed', ...offer, pricePerGpuHour: usdc(2_650_000n), listedAt: at(0) }
const reserve = (rental: string, gpuCount: number): Event => ({
  type: 'CapacityReserved',
  rental,
  gpuCount,
  provider: '0xp',
  gpu: 'H100',
  pricePerGpuHour: usdc(2_650_000n),
})
const open = {
  id: 'l1',
  ...offer,
  gpuKey: 'h100',
  gpuModel: 'H100',
  regionTags: ['FR', '-EU', '', 'fr', ''],
  status: 'open',
  freeGpus: 8,
  reservedBy: [],
  pricePerGpuHour: 2_650_000n,
  asset: 'USDC/6',
  listedAt: at(0),
}
const rows = (...events: Event[]) => rowsOf(listings, 'listing', 'l1', ...events)

describe('a listing', () => {
  test('is open and free at first', async () => expect(await rows(listed)).toEqual([{ ...open, ...stampsOf(0) }]))

  test('changes its price', async () =>
    expect(await rows(listed, { type: 'PriceChanged', pricePerGpuHour: usdc(3n) })).toEqual([
      { ...open, pricePerGpuHour: 3n, ...stampsOf(1) },
    ]))

  test('is withdrawn', async () =>
    expect(await rows(listed, { type: 'ListingWithdrawn' })).toEqual([
      { ...open, status: 'withdrawn', ...stampsOf(1) },
    ]))

  test('has fewer free GPUs with each reservation', async () =>
    expect(await rows(listed, reserve('r1', 3), reserve('r2', 1))).toEqual([
      {
        ...open,
        freeGpus: 4,
        ...stampsOf(2),
      },
    ]))

  test('gets freed GPUs back', async () =>
    expect(
      await rows(listed, reserve('r1', 3), reserve('r2', 1), { type: 'CapacityFreed', rental: 'r1', gpuCount: 3 }),
    ).toEqual([{ ...open, freeGpus: 7, ...stampsOf(3) }]))

  test('is not changed by a refusal', async () =>
    expect(await rows(listed, { type: 'CapacityRefused', rental: 'r9', code: 'LISTING_FULL' })).toEqual([
      { ...open, ...stampsOf(0) },
    ]))
})

test('a change before the beginning is corrupt history', () =>
  expect(rows({ type: 'ListingWithdrawn' })).rejects.toThrow('event 0 of listing-l1'))

test('what names and regions mean is stored: where that changes, the version rises', () => {
  const places = areas.flatMap(({ code, names }) => [`City, ${code}`, `${code.toLowerCase()}-east1`, ...names])
  const meanings = [
    knownGpuKeys.flatMap((key) =>
      [key, `nvidia ${key} sxm`, `${key}-80gb`].map((name) => [gpuKeyOf(name), gpuNameOf(name)]),
    ),
    places.map(regionTagsOf),
  ]
  const hash = createHash('sha256').update(JSON.stringify(meanings)).digest('hex').slice(0, 12)
  expect([listings.version, hash]).toEqual([3, 'af8094243d4c'])
})
