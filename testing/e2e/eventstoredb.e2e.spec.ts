// The whole platform with its log on a server of EventStoreDB's protocol, and all else in PostgreSQL as always.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { createClient } from '../../cli/client.ts'
import { openEventStore } from '../../infra/event-store/open.ts'
import { runNode } from '../children.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../eventstoredb/server.ts'
import { eventually } from '../eventually.ts'
import { inconsistencies, inconsistenciesAtRest } from '../worlds/consistency.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms, withPlatformDatabase } from '../worlds/platform.ts'
import { availableUnits, createListing, createRenter } from '../worlds/renter.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
let server: EventStoreDbServer
beforeAll(async () => {
  folder = await createTestFolder()
  server = await startEventStoreDbServer()
})
afterEach(stopTestPlatforms)
afterAll(async () => {
  await server.stop()
  await folder.remove()
})

const startPlatform = () => startTestPlatform(folder.path, { EVENTSTORE_URL: server.url })

const headOf = async (url: string): Promise<string> => {
  const client = createClient(url)
  const { head } = await client.query<{ head: string }>('{ head }')
  await client.close()
  return head
}

const freeGpus = async (url: string, id: string, atLeast: string): Promise<number> => {
  const client = createClient(url)
  const ask = 'query ($id: ID!, $atLeast: Position) { listing(id: $id, atLeast: $atLeast) { freeGpus } }'
  const { listing } = await client.query<{ listing: { freeGpus: number } }>(ask, { id, atLeast })
  await client.close()
  return listing.freeGpus
}

const expectRest = async (): Promise<void> => {
  await withPlatformDatabase(folder.path, async (database) => {
    const store = await openEventStore({ database, eventStoreUrl: server.url })
    const look = () => inconsistencies(store, database, () => true)
    expect(await inconsistenciesAtRest(look).finally(store.close)).toEqual([])
    const schemas = await database.query<{ nspname: string }>('spec', 'select nspname from pg_namespace')
    expect(schemas.map(({ nspname }) => nspname)).not.toContain('log')
  })
}

test('plays the tour, and a renter who rents while the server is away gets the GPU once', async () => {
  const first = await startPlatform()
  // From a deposit on chain to the invoice of a rental with a finished job.
  const { code, printed } = await runNode(['cli/tour.ts', '--url', first.url], { DATA_DIR: folder.path })
  expect({ code, printed }).toEqual({ code: 0, printed })
  expect(await headOf(first.url)).toMatch(/^esdb-/)

  const listing = await createListing(first.url, 2, '2.5')
  const { client } = await createRenter(first.url, 10_000_000n)
  const request = { listing, gpuCount: 1, hours: 1, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() }
  // The server breaks all connections in the middle of a saga, stays away, and loses what it kept in memory.
  server.failNextAppend('cut after')
  const rented = await eventually('the rental, asked for with one key until it is answered', () =>
    client
      .mutate<{ rental: { status: string }; position: string }>('rentGpu', request, 'id rental { status } position')
      .catch(() => undefined),
  )
  expect(rented.rental.status).toBe('active')
  expect(await freeGpus(first.url, listing, rented.position)).toBe(1)
  expect(await availableUnits(client)).toBe(7_500_000n)
  await client.close()

  await first.kill()
  await server.restart()
  const second = await startPlatform()
  expect(await freeGpus(second.url, listing, await headOf(second.url))).toBe(1)
  await expectRest()
  expect(await second.stop()).toBe(0)
}, 300_000)
