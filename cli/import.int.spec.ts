// The command as a provider calls it, against a gateway with a real event store and real read models.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { importAsBefore, listingsIn } from '../commands/import-offers.testing.ts'
import { runNode } from '../testing/children.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { createTestFolder } from '../testing/worlds/platform.ts'

const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region'
const info = (mib: number) =>
  `"{'Gpus': [{'Name': 'H100', 'Count': 8, 'MemoryInfo': {'SizeInMiB': ${mib}}}], 'TotalGpuMemoryInMiB': ${8 * mib}}"`
const line = (type: string, price: string, region = 'eu', mib = 81_920) =>
  `${type},H100,8,128,1600,${info(mib)},${price},,${region}`

let world: GatewayWorld
let folder: Awaited<ReturnType<typeof createTestFolder>>
let key: string
let provider: string
beforeAll(async () => {
  world = await createGatewayWorld()
  folder = await createTestFolder()
})
afterAll(async () => {
  await world.close()
  await folder.remove()
})
beforeEach(async () => {
  const secret = generatePrivateKey()
  provider = privateKeyToAddress(secret).toLowerCase()
  key = join(folder.path, `${provider}.key`)
  await writeFile(key, secret)
})

const runImport = (...given: string[]) => runNode(['cli/import.ts', '--url', world.url, '--json', ...given])
/** Resolves to the result of importing these lines. */
const imported = async (lines: readonly string[], ...options: string[]) => {
  const file = join(folder.path, 'offers.csv')
  await writeFile(file, [header, ...lines].join('\n'))
  const { output, errors, code } = await runImport(file, '--key', key, ...options)
  const { result, error } = JSON.parse(output.trim().split('\n').at(-1) ?? '{}')
  return { code, errors, ...result, ...(error && { error }) }
}
const open = async () => {
  const all = await listingsIn({ store: world.store, commands: world.market.commands })
  return all.filter((one) => one.provider === provider && one.status === 'open')
}

describe('npm run import', () => {
  test('lists a file of 2,000 lines in parts, and finds half of it again', async () => {
    const lines = Array.from({ length: 2_000 }, (_, index) =>
      line(`m${index % 800}`, '16.00', `zone-${'x'.repeat(100)}`),
    )
    const first = await imported(lines)
    expect(first).toMatchObject({ code: 0, listed: 2_000, unchanged: 0, refused: 0, withoutGpu: 0 })
    expect(first.withdrawn).toBeUndefined()
    const half = await imported(lines.slice(0, 1_000), '--whole')
    expect(half).toMatchObject({ code: 0, listed: 0, unchanged: 1_000, withdrawn: 1_000 })
  }, 300_000)

  test('--whole changes prices and withdraws what is gone; --dry-run tells the same and does nothing', async () => {
    const dayOne = [line('a', '16.00'), line('b', '18.00', 'us')]
    const dayTwo = [line('a', '14.00')]
    expect(await imported(dayOne, '--dry-run')).toMatchObject({ code: 1, error: { code: 'PROVIDER_NOT_REGISTERED' } })
    expect(await imported(dayOne, '--name', 'Paula')).toMatchObject({ listed: 2 })
    const head = await world.store.head()
    const changes = { listed: 0, changed: 1, unchanged: 0, withdrawn: 1 }
    expect(await imported(dayTwo, '--whole', '--dry-run')).toMatchObject({ dryRun: true, ...changes })
    expect(await world.store.head()).toBe(head)
    expect(await imported(dayTwo, '--whole')).toMatchObject({ dryRun: false, ...changes })
    expect((await open()).map(({ gpuCount, price }) => [gpuCount, price])).toEqual([[8, 1_750_000n]])
    expect(await imported(dayOne, '--whole')).toMatchObject({ listed: 1, changed: 1 })
  })

  test('finds what was imported before machines were found by their names', async () => {
    const lines = Array.from({ length: 1_200 }, (_, index) => line(`m${index}`, String(16 + (index % 3))))
    await imported([line('other', '1.00')])
    const former = await importAsBefore(world.market, provider, [header, ...lines].join('\n'))
    expect(await imported(lines.toReversed(), '--whole')).toMatchObject({ listed: 0, withdrawn: 1 })
    expect(new Set((await open()).map(({ id }) => id))).toEqual(new Set(former))
  }, 120_000)

  test.each([[[]], [[',,,8,32,,0.1,,eu']]])('exits with 1 where no line is an offer: %j', async (lines) => {
    const counts = { listed: 0, refused: 0, withoutGpu: lines.length }
    expect(await imported(lines, '--name', 'Paula')).toMatchObject({ code: 1, ...counts })
  })

  test('tells what is refused and what is doubtful by line, and withdraws nothing after a line that cannot be read', async () => {
    await imported([line('a', '16.00'), line('b', '16.00')])
    const doubtful = await imported([line('a', '16.00', 'eu', 9_999), line('b', ''), ',,,8,32,,0.1,,eu'], '--whole')
    expect(doubtful).toMatchObject({ code: 0, refused: 1, withoutGpu: 1, withdrawn: 0 })
    expect(doubtful.refusedLines).toEqual([{ line: 3, reason: 'Price is empty' }])
    expect(doubtful.warningLines).toMatchObject([{ line: 2, warning: expect.stringContaining('9999 MiB') }])
    expect(await open()).toHaveLength(2)

    for (const how of ['--dry-run', '--json']) {
      const long = await imported([line('c', '16.00', 'x'.repeat(5_000))], how)
      expect(long.refusedLines).toEqual([{ line: 2, reason: expect.stringMatching(/region/i) }])
    }

    const broken = await imported([line('a', '16.00'), 'b'], '--whole')
    expect(broken).toMatchObject({ code: 1, error: { code: 'OFFERS_NOT_WITHDRAWN', details: { line: '3' } } })
    expect(await imported([], '--whole')).toMatchObject({ code: 1, error: { code: 'OFFERS_NOT_WITHDRAWN' } })
    expect(await open()).toHaveLength(2)
  })

  test('ends with 1 where every line is refused', async () => {
    expect(await imported(['b', 'c'])).toMatchObject({ code: 1, refused: 2 })
  })

  test.each([
    ['no file', [], 'INPUT_INVALID'],
    ['a file that is not there', ['nowhere.csv'], 'PATH_UNUSABLE'],
    ['a file without a header', ['package.json'], 'INPUT_INVALID'],
    ['an option that it has not', ['package.json', '--all'], 'INPUT_INVALID'],
    ['a key that is none', ['package.json', '--key', 'package.json'], 'INPUT_INVALID'],
    ['a platform that does not run', ['package.json', '--url', 'http://127.0.0.1:9'], 'PLATFORM_UNREACHABLE'],
  ])('ends with a code for %s', async (_, given, code) => {
    const { code: exit, output, errors } = await runImport(...given)
    expect([exit, JSON.parse(output).error.code]).toEqual([1, code])
    expect(errors).toContain(code)
    expect(errors).not.toContain('    at ')
  })
})
