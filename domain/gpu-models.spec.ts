import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { knownModels } from './gpu-models/table.ts'
import { gpuKeyOf, gpuModelOf, gpuNameOf, isPlausible, nearestGpus } from './gpu-models.ts'

const names = knownModels
  .trim()
  .split('\n')
  .flatMap((line) => line.split(' ')[0] ?? [])

describe('a model is found by what people and catalogs call it', () => {
  test.each([
    ...[
      'RTX 4090',
      'RTX4090',
      'rtx_4090',
      'rtx-4090',
      'GeForce RTX 4090',
      'NVIDIA GeForce RTX 4090',
      ' RTX 4090 24GB',
    ].map((name) => [name, 'RTX4090']),
    ...[
      'H100',
      'H100 SXM',
      ' nvidia h100 ',
      'H100-SXM5-80GB',
      'H100 80GB HBM3',
      'H100SXM',
      'h100_pcie',
      'H100-MEGA-80GB',
    ].map((name) => [name, 'H100']),
    ...[
      'A100-80GB',
      'A100 80GB',
      'NVIDIA A100-SXM4-80GB',
      'A100 PCIe 80 GB',
      'a100-80gb',
      'A100-80GB-SXM',
      'A100SXM480GB',
    ].map((name) => [name, 'A100-80GB']),
    ...['A100', 'A100-SXM4-40GB', 'A100_PCIE', 'A100-40GB'].map((name) => [name, 'A100']),
    ...['RTXPRO6000', 'RTXPro6000', 'RTX PRO 6000 96GB', 'NVIDIA RTX PRO 6000 Blackwell Workstation Edition'].map(
      (name) => [name, 'RTXPRO6000'],
    ),
    ['Tesla V100-SXM2-16GB', 'V100'],
    ['V100-SXM2-32GB', 'V100-32GB'],
    ['RTX 6000 Ada Generation', 'RTX6000-Ada'],
    ['Quadro RTX 6000', 'RTX6000'],
    ['NVIDIA RTX A6000', 'RTXA6000'],
    ['AMD Instinct MI300X OAM', 'MI300X'],
    ['H100 NVL', 'H100-NVL'],
    ['H200 SXM', 'H200'],
    ['RTX 4080 SUPER', 'RTX4080S'],
  ])('%j is %s', (name, model) => expect(gpuNameOf(name)).toBe(model))
})

test.each(['ZX-9000', 'H1000', 'RTX', 'NVIDIA', '', ' ', '80GB', 'A100-81GB', 'H100 24GB', 'RTX 4090 Laptop'])(
  '%j is no known model',
  (name) => {
    expect(gpuModelOf(name)).toBeUndefined()
    expect(gpuNameOf(name)).toBe(name.trim())
  },
)

test('each model of the table is found by its name, written in many ways, and its sizes are plausible for it', () => {
  const separators = fc.constantFrom('', ' ', '-', '_', '.')
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      separators,
      fc.boolean(),
      fc.constantFrom('', 'NVIDIA ', 'gpu '),
      (name, separator, upper, maker) => {
        const spaced = name.replace(/(?<=[a-zA-Z])(?=\d)|-/g, separator)
        expect(gpuNameOf(`${maker}${upper ? spaced.toUpperCase() : spaced.toLowerCase()}`)).toBe(name)
        const model = gpuModelOf(name)
        for (const mib of model?.memoryMib ?? []) expect(model && isPlausible(model, mib)).toBe(true)
      },
    ),
    { numRuns: 2_000 },
  )
  expect(new Set(names.map(gpuKeyOf)).size).toBe(names.length)
})

test.each([
  ['H100', 81_559, true],
  ['H100', 95_830, true],
  ['L40S', 46_068, true],
  ['B200', 183_359, true],
  ['RTX4090', 49_140, true],
  ['H100', 10_194, false],
  ['A100-80GB', 40_960, false],
  ['L40S', 192, false],
])('%s with %i MiB: %s', (name, mib, answer) => {
  const model = gpuModelOf(name)
  expect(model && isPlausible(model, mib)).toBe(answer)
})

test('the nearest names come first, each model once', () => {
  const offered = ['H100', 'nvidia h100', 'A100', 'RTX4090', 'RTX 4090', 'RTX3090', 'L4', 'A100-80GB']
  expect(nearestGpus('H1O0', offered, 2)).toEqual(['H100', 'A100'])
  expect(nearestGpus('RTX 4080', offered, 2)).toEqual(['RTX4090', 'RTX3090'])
  expect(nearestGpus('RTX', offered, 2)).toEqual(['RTX3090', 'RTX4090'])
  expect(nearestGpus('Z', [], 3)).toEqual([])
})

/** A name with one character left out, replaced, or put in. */
const misspelt = fc
  .tuple(fc.constantFrom(...names), fc.nat({ max: 5 }), fc.constantFrom('', 'o', '7', 'q'), fc.nat({ max: 1 }))
  .map(([name, index, letter, left]) => name.slice(0, index) + letter + name.slice(index + left))

test('the nearest known models come whatever names others have made up, and unknown ones as far as there is room', () =>
  fc.assert(
    fc.property(misspelt, fc.array(misspelt, { maxLength: 300 }), (asked, texts) => {
      const madeUp = [asked, ...texts].filter((name) => gpuModelOf(name) === undefined)
      const known = nearestGpus(asked, names, 5)
      const near = nearestGpus(asked, [...madeUp, ...names], 5)
      expect(near).toHaveLength(5)
      expect(near.filter((name) => names.includes(name)).slice(0, 3)).toEqual(known.slice(0, 3))
      if (madeUp.includes(asked)) expect(near).toContain(asked)
    }),
  ))

test('whatever the text, a name is found at once and stays the same', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('80gb', 'nvidia', 'sxm', '1', ' ', 'é').map((part) => part.repeat(50_000)),
  )
  fc.assert(
    fc.property(text, (name) => {
      const began = process.cpuUsage()
      expect(gpuNameOf(gpuNameOf(name))).toBe(gpuNameOf(name))
      expect(gpuKeyOf(gpuNameOf(name))).toBe(gpuKeyOf(name))
      expect(process.cpuUsage(began).user).toBeLessThan(1_000_000)
    }),
  )
})
