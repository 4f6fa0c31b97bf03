// Two platforms on one database and one chain, each with all roles: what both of them do must happen once.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { createClient } from '../../cli/client.ts'
import { createPrinter, playTour } from '../../cli/tour.ts'
import type { ChainInfo } from '../../cli/wallet.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { inconsistencies, inconsistenciesAtRest } from '../worlds/consistency.ts'
import { startRentingLoad } from '../worlds/load.ts'
import { createTestFolder, embeddedDatabaseUrl, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'
import { silentLog } from '../worlds/silent-log.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeAll(async () => {
  folder = await createTestFolder()
})
afterEach(stopTestPlatforms)
afterAll(() => folder.remove())

const chainOf = async (url: string) => {
  const client = createClient(url)
  const { chain } = await client.query<{ chain: ChainInfo }>('{ chain { chainId rpcUrl token marketplace } }')
  await client.close()
  return chain
}

test('two platforms share their work: tours on both, renters on both, and the books are as if there were one', async () => {
  const secret = { JWT_SECRET: 'the same for both, so that tokens are good at both' }
  const firstFolder = join(folder.path, 'first')
  const first = await startTestPlatform(firstFolder, secret)
  const chain = await chainOf(first.url)
  const databaseUrl = await embeddedDatabaseUrl(firstFolder)
  const second = await startTestPlatform(join(folder.path, 'second'), {
    ...secret,
    DATABASE_URL: databaseUrl,
    CHAIN_RPC_URL: chain.rpcUrl,
    CHAIN_ID: String(chain.chainId),
    TOKEN_ADDRESS: chain.token,
    MARKETPLACE_ADDRESS: chain.marketplace,
    CHAIN_CONFIRMATIONS: '2',
    CHAIN_PORT: '',
  })
  const loads = [startRentingLoad(first.url), startRentingLoad(second.url)]
  const silent = createPrinter({ json: true, terminal: false, write: () => undefined })
  const file = join(import.meta.dirname, '../../cli/tour/offers.csv')
  const offers = { file, csv: await readFile(file, 'utf8') }
  const { signal } = new AbortController()
  await Promise.all([first, second].map(({ url }) => playTour(url, offers, silent, signal)))
  for (const load of loads) expect(await load.stop()).toBeGreaterThan(1)

  const database = connectPostgres({ url: databaseUrl, log: silentLog, poolSize: 4 })
  const store = await openPostgresEventStore({ database })
  expect(await inconsistenciesAtRest(() => inconsistencies(store, database, () => true))).toEqual([])
  const started = (await Array.fromAsync(store.readAll({ types: ['JobStarted'] }))).map(({ stream }) => stream)
  expect(started).toHaveLength(2)
  expect(new Set(started).size).toBe(2)
  await store.close()
  await database.close()
  expect(await second.stop()).toBe(0)
  expect(await first.stop()).toBe(0)
}, 120_000)
