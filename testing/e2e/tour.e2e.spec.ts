import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { createClient } from '../../cli/client.ts'
import { runNode } from '../children.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeAll(async () => {
  folder = await createTestFolder()
})
afterEach(stopTestPlatforms)
afterAll(() => folder.remove())

/** Runs the tour as a user would. */
const runTour = (
  options: readonly string[],
  settings: Record<string, string> = {},
  onOutput?: Parameters<typeof runNode>[2],
) => runNode(['cli/tour.ts', ...options], { CHAIN_PORT: '0', DATA_DIR: folder.path, ...settings }, onOutput)

test('starts its own platform, plays the whole story in under a minute, and leaves no process', async () => {
  const began = performance.now()
  // Nothing listens on the discard port, so it starts one.
  const { code, printed } = await runTour([], { PORT: '9' })
  expect({ code, printed }).toEqual({ code: 0, printed })
  expect(performance.now() - began).toBeLessThan(60_000)
  for (const chapter of [
    'imports offers',
    'signs in',
    'deposits',
    'searches',
    'rents',
    'job runs',
    'gives the GPU back',
    'invoice',
    'trace',
  ])
    expect(printed).toContain(chapter)
  for (const type of [
    'DepositObserved',
    'DepositFinalized',
    'DepositCredited',
    'FundsHeld',
    'RentalActivated',
    'UsageMetered',
    'RentalEnded',
    'HoldCaptured',
    'HoldReleased',
    'EarningsCredited',
    'InvoiceIssued',
  ])
    expect(printed).toContain(type)
  expect(printed).toMatch(/100 %.*loss/)
  expect(printed).toContain('the sum of all entries in USDC/6 is 0')
  expect(await processesNaming(folder.path)).toEqual([])
})

test('plays on a running platform, with the offers of another file, and names the line that is broken', async () => {
  const offers = join(folder.path, 'offers.csv')
  const line = (price: string) =>
    `1x-H100,H100,1,32,64.0,"{'Gpus': [{'Name': 'H100', 'Count': 1, 'MemoryInfo': {'SizeInMiB': 81559}}]}",${price},0.00,"Norway, NO, EU"`
  await writeFile(
    offers,
    [
      'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region',
      line('1.5'),
      line('a lot'),
      line('1.6'),
    ].join('\n'),
  )
  const platform = await startTestPlatform(folder.path)
  const { code, printed } = await runTour(['--url', platform.url, '--offers', offers, '--json'])
  expect({ code, printed }).toEqual({ code: 0, printed })
  expect(printed).toContain('2 offers listed, 0 known before, 1 refused')
  expect(printed).toContain('line 3')
  for (const text of printed.trim().split('\n')) expect(() => JSON.parse(text)).not.toThrow()
  expect(await platform.stop()).toBe(0)
})

test('Ctrl-C during the job ends the rental: all GPUs are free again', async () => {
  const platform = await startTestPlatform(folder.path)
  let asked = false
  const { code, printed } = await runTour(['--url', platform.url], {}, (output, interrupt) => {
    if (asked || !output.includes('job runs')) return
    asked = true
    interrupt()
  })
  expect(code).toBe(130)
  expect(printed).toMatch(/rental \S+ is ended/)
  const client = createClient(platform.url)
  type Answer = { listings: { edges: { node: { freeGpus: number; gpuCount: number } }[] } }
  await eventually('nothing is reserved', async () => {
    const { listings } = await client.query<Answer>('{ listings(first: 100) { edges { node { freeGpus gpuCount } } } }')
    return listings.edges.length > 0 && listings.edges.every(({ node }) => node.freeGpus === node.gpuCount)
  })
  await client.close()
  expect(await platform.stop()).toBe(0)
})

test.each([
  ['where nothing answers', ['--url', 'http://127.0.0.1:9'], 'PLATFORM_UNREACHABLE'],
  ['without a scheme', ['--url=127.0.0.1:4000'], 'INPUT_INVALID'],
  ['that is empty', ['--url='], 'INPUT_INVALID'],
])('an address %s is refused, and no platform is started', async (_, options, code) => {
  const ended = await runTour(options)
  expect(ended.code).toBe(1)
  expect(ended.errors).toContain(`${code}: `)
  expect(ended.printed).not.toContain('ready after')
})

test('a platform that cannot start is named with its failure, and one that is not ready with what is not', async () => {
  const failed = await runTour([], { PORT: '9', DATA_DIR: import.meta.filename })
  expect(failed.code).toBe(1)
  expect(failed.errors).toMatch(/^PLATFORM_NOT_STARTED: .*DATA_FOLDER_UNREACHABLE: /m)
  const notReady = createServer((_, response) => {
    response.writeHead(503, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ ready: false, parts: { database: 'up', log: 'LOG_REPLACED' } }))
  }).listen(0, '127.0.0.1')
  await once(notReady, 'listening')
  const refused = await runTour([], { PORT: String((notReady.address() as AddressInfo).port) })
  notReady.close()
  expect(refused.code).toBe(1)
  expect(refused.errors).toMatch(/^PLATFORM_NOT_READY: .*LOG_REPLACED/m)
  for (const { errors } of [failed, refused]) expect(errors).not.toMatch(/^ +at /m)
})
