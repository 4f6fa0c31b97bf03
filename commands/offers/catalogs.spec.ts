// Offer files in the forms in which clouds write them.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isRefusal } from '../../domain/errors.ts'
import { gpuModelOf } from '../../domain/gpu-models.ts'
import { readOffers } from '../offers.ts'

const columns = [
  'InstanceType',
  'AcceleratorName',
  'AcceleratorCount',
  'vCPUs',
  'MemoryGiB',
  'GpuInfo',
  'Price',
] as const
const header = [...columns, 'SpotPrice', 'Region'].join(',')
type Cells = { readonly [Column in (typeof columns)[number] | 'SpotPrice' | 'Region']?: string }
const cell = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
const lineOf = (cells: Cells) =>
  [
    cells.InstanceType ?? 'm',
    cells.AcceleratorName ?? 'H100',
    cells.AcceleratorCount ?? '1',
    cells.vCPUs ?? '24',
    cells.MemoryGiB ?? '240.0',
    cells.GpuInfo ?? '',
    cells.Price ?? '2.50',
    cells.SpotPrice ?? '',
    cells.Region ?? 'se-1',
  ]
    .map(cell)
    .join(',')
const read = async (...lines: readonly Cells[]) => {
  const answer = await readOffers([header, ...lines.map(lineOf)].join('\n'))
  if (isRefusal(answer)) throw new Error(answer.refused)
  return answer
}
/** A model of one size. */
const l4 = { AcceleratorName: 'L4' }
const memoryOf = async (cells: Cells) => {
  const { offers, warnings } = await read(cells)
  return [offers[0]?.offer.vramMib, ...warnings.map(({ warning }) => warning)]
}

/** Returns what clouds write about GPUs of `mib` each: of one or of all, in MiB or GiB, as Python or JSON, in any case. */
const infos = (name: string, count: number, mib: number): readonly string[] => {
  const forms = [
    (size: number, total: number) =>
      `{'Gpus': [{'Name': '${name}', 'Manufacturer': 'NVIDIA', 'Count': ${count}, 'MemoryInfo': {'SizeInMiB': ${size}}}], 'TotalGpuMemoryInMiB': ${total}}`,
    (size: number, total: number) =>
      `{'Gpus': [{'Name': '${name}', 'Count': '${count}.0', 'MemoryInfo': {'SizeInMiB': ${size}.0}}], 'TotalGpuMemoryInMiB': ${total}.0}`,
    (size: number, total: number) =>
      `{"Gpus":[{"Name":"${name}","Count":${count},"MemoryInfo":{"SizeInMiB":${size}}}],"TotalGpuMemoryInMiB":${total}}`,
    (size: number, total: number) =>
      `{'gpus': [{'name': '${name.toLowerCase()}', 'count': ${count}.0, 'memoryinfo': {'sizeinmib': ${size}}}], 'totalgpumemoryinmib': ${total}}`,
  ]
  const [gib, all] = [mib / 1024, mib * count]
  const numbers = [
    [mib, all],
    [all, all],
    [mib, mib],
    [all, all * count],
    [gib, gib * count],
    [gib * count, gib * count],
  ] as const
  return forms.flatMap((form) => numbers.map(([size, total]) => form(size, total)))
}

describe('the memory of one GPU', () => {
  // Two V100 of 32 GiB and two of 16 GiB are written alike by some; a model of one size is never ambiguous.
  const models = ['H100', 'A100-80GB', 'L40S', 'RTX5090', 'T4', 'A10', 'H200', 'MI300X', 'B200']
  test('of a known model is found in every form', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...models),
        fc.integer({ min: 1, max: 16 }),
        fc.nat(23),
        async (name, count, form) => {
          const [mib = 0] = gpuModelOf(name)?.memoryMib ?? []
          const GpuInfo = infos(name, count, mib)[form] ?? ''
          const cells = { AcceleratorName: name, AcceleratorCount: String(count), GpuInfo }
          expect([GpuInfo, await memoryOf(cells)]).toEqual([GpuInfo, [mib]])
        },
      ),
      { numRuns: 500 },
    )
  })

  test('is kept as it was measured', async () => {
    const written = infos('H100', 8, 81_559)
    for (const GpuInfo of written.slice(0, 4))
      expect(await memoryOf({ AcceleratorCount: '8', GpuInfo })).toEqual([81_559])
  })

  test.each([
    ['V100', 'V100', '1', 16_384],
    ['A100-80GB', 'A100-80GB', '8.0', 81_920],
    ['T4', 'T4 x2, family G10', '2', 16_384],
    ['L4', '', '1', 24_576],
  ])('of %s is known where GpuInfo is only %j', async (AcceleratorName, GpuInfo, AcceleratorCount, mib) =>
    expect((await memoryOf({ AcceleratorName, GpuInfo, AcceleratorCount }))[0]).toBe(mib),
  )

  test('of an unknown model is taken as it is usually written, and as GiB with a warning', async () => {
    const unknown = (count: number, mib: number) => ({
      AcceleratorName: 'ZX-9000',
      AcceleratorCount: String(count),
      GpuInfo: infos('ZX-9000', count, mib)[0] ?? '',
    })
    expect(await memoryOf(unknown(2, 30_000))).toEqual([30_000])
    expect(await memoryOf(unknown(2, 64))).toEqual([65_536, 'GpuInfo 64 is taken as a number of GiB'])
    expect((await read({ AcceleratorName: 'ZX-9000', GpuInfo: 'ZX-9000' })).refused).toMatchObject([
      { refusal: { details: { column: 'GpuInfo', problem: expect.stringContaining('not known') } } },
    ])
  })

  test('that the model cannot have is a warning', async () => {
    const GpuInfo = infos('L40S', 1, 24_564)[0] ?? ''
    expect(await memoryOf({ AcceleratorName: 'L40S', GpuInfo })).toEqual([
      24_564,
      'GpuInfo is 24564 MiB, and a L40S has 49152 MiB',
    ])
  })
})

describe('prices', () => {
  test.each([
    ['1.2227999999999999', '1', 1_222_800n],
    ['2.1668000000000003', '1', 2_166_801n],
    ['6.244061073300001', '4', 1_561_016n],
    ['0.5876', '1.0', 587_600n],
    ['1.5e-2', '2', 7_500n],
    ['3e1', '8', 3_750_000n],
    ['2.', '1', 2_000_000n],
  ])('%s for %s is rounded up to a millionth per GPU', async (Price, AcceleratorCount, units) => {
    const { offers } = await read({ Price, AcceleratorCount })
    expect(offers.map(({ offer }) => offer.pricePerGpuHour.amount)).toEqual([units])
  })

  test('that nobody means are a warning', async () => {
    const { offers, warnings } = await read(
      { ...l4, Price: '2500000' },
      { ...l4, Price: '0.000001' },
      { ...l4, Price: '2.5' },
    )
    expect([offers.length, warnings.map(({ line }) => line)]).toEqual([3, [2, 3]])
  })
})

test('lines without a GPU are counted apart from broken ones', async () => {
  const { offers, refused, withoutGpu } = await read(
    { AcceleratorName: '', AcceleratorCount: '' },
    { AcceleratorName: 'nan', AcceleratorCount: '0.0' },
    { AcceleratorName: 'tpu-v3-8', AcceleratorCount: '1' },
    { AcceleratorName: 'Inferentia2', AcceleratorCount: '12' },
    { AcceleratorName: '', AcceleratorCount: '2' },
    {},
  )
  expect([offers.length, refused.map(({ line }) => line), withoutGpu]).toEqual([1, [6], 4])
})

test('memory and cores that no machine has are a warning', async () => {
  const { offers, warnings } = await read(
    { ...l4, MemoryGiB: '245760' },
    { ...l4, vCPUs: '9000' },
    { ...l4, vCPUs: '6.5', MemoryGiB: '7.5' },
  )
  expect(warnings.map(({ line }) => line)).toEqual([2, 3])
  expect(offers.at(-1)?.offer).toMatchObject({ vcpus: 6, memoryMib: 7_680 })
})

const folder = process.env.OFFER_TRIALS
const inFolder = folder && existsSync(folder) ? describe : describe.skip
inFolder('the files in OFFER_TRIALS are read as their table says', () => {
  const fileOf = async (name: string) => {
    const answer = await readOffers(readFileSync(join(folder ?? '', name), 'utf8'))
    if (isRefusal(answer)) throw new Error(answer.refused)
    return answer
  }
  const offers = async (name: string) =>
    (await fileOf(name)).offers.map(({ offer }) => [
      offer.gpu,
      offer.gpuCount,
      offer.vramMib,
      offer.pricePerGpuHour.amount,
    ])
  const refusedLines = async (name: string) => (await fileOf(name)).refused.map(({ line }) => line)

  test.each([
    ['vram-in-gib.csv', [81_920, 81_920, 49_152, 81_920], []],
    ['gpuinfo-as-json.csv', [81_920, 81_920], [4]],
    ['gpuinfo-lower-case.csv', [81_559, 81_559], []],
    ['gpuinfo-is-a-name.csv', [16_384, 81_920, 16_384], [5]],
    ['price-with-float-noise.csv', [49_152, 81_920, 49_152, 49_152], []],
    ['fraction-of-a-gpu.csv', [24_576], [2, 3]],
  ])('%s', async (name, memory, refused) => {
    expect([(await offers(name)).map(([, , mib]) => mib), await refusedLines(name)]).toEqual([memory, refused])
  })

  test('names-of-one-model.csv', async () =>
    expect(new Set((await offers('names-of-one-model.csv')).map(([gpu]) => gpu))).toEqual(
      new Set(['RTX4090', 'RTXPRO6000']),
    ))
})
