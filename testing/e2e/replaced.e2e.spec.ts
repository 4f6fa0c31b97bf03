// The log is put back under a running platform: it answers so and does nothing more, until the log is adopted.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { createClient } from '../../cli/client.ts'
import { runNode } from '../children.ts'
import { createServerLog } from '../eventstoredb/log.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../eventstoredb/server.ts'
import { eventually } from '../eventually.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'
import { createListing } from '../worlds/renter.ts'

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

/** For a slow machine. */
const waitMs = 60_000

const startPlatform = () => startTestPlatform(folder.path, { EVENTSTORE_URL: server.url })
const list = ({ url }: { readonly url: string }) => createListing(url, 1, '2')

const ask = async <Data>(url: string, query: string, variables = {}): Promise<Data> => {
  const client = createClient(url)
  try {
    return await client.query<Data>(query, variables)
  } finally {
    await client.close()
  }
}
const headOf = async ({ url }: { readonly url: string }) => (await ask<{ head: string }>(url, '{ head }')).head
const listingAt = async ({ url }: { readonly url: string }, id: string, atLeast: string) => {
  const query = 'query ($id: ID!, $atLeast: Position) { listing(id: $id, atLeast: $atLeast) { id } }'
  return (await ask<{ listing: { id: string } | null }>(url, query, { id, atLeast })).listing?.id
}

const readyOf = async (url: string) => {
  const response = await fetch(`${url}/ready`)
  return { status: response.status, ...((await response.json()) as { parts: Record<string, string> }) }
}

test('a platform whose log is put back answers LOG_REPLACED and writes nothing, until the log is adopted', async () => {
  const platform = await startPlatform()
  const first = await list(platform)
  const firstHead = await headOf(platform)
  const backup = [...server.log.records]
  const second = await list(platform)
  const lostHead = await headOf(platform)
  const whole = server.log
  await server.replaceLog(createServerLog(backup))

  await expect(list(platform)).rejects.toThrow('LOG_REPLACED')
  const ready = await eventually(
    'it to answer so',
    async () => {
      const found = await readyOf(platform.url)
      return found.parts.log === undefined ? undefined : found
    },
    waitMs,
  )
  expect(ready).toEqual({
    status: 503,
    ready: false,
    parts: { database: 'up', log: 'LOG_REPLACED', projections: 'unknown' },
  })
  expect(server.log.records.map(({ id }) => id)).toEqual(backup.map(({ id }) => id))
  expect(await platform.stop()).toBe(0)

  // The next start refuses it too, and takes the right one.
  await expect(startPlatform()).rejects.toThrow('LOG_REPLACED')
  expect(server.log.records).toHaveLength(backup.length)
  await server.replaceLog(whole)
  const again = await startPlatform()
  expect(await listingAt(again, second, lostHead)).toBe(second)
  expect(await again.stop()).toBe(0)

  await server.replaceLog(createServerLog(backup))
  const settings = { DATA_DIR: folder.path, EVENTSTORE_URL: server.url }
  const { code, printed } = await runNode(['cli/log.ts', 'adopt'], settings)
  expect({ code, printed }).toEqual({ code: 0, printed })
  expect(printed.match(/It lacks esdb-/g)).toHaveLength(1)
  expect(printed).toMatch(/The read model listings was at \S+: it is built anew/)
  expect(printed).toMatch(/The consumer processes was at \S+: it goes on from the beginning/)

  const adopted = await startPlatform()
  await eventually('all read models to be built', async () => (await readyOf(adopted.url)).status === 200, waitMs)
  expect(await listingAt(adopted, first, firstHead)).toBe(first)
  await expect(listingAt(adopted, second, firstHead)).rejects.toThrow('LISTING_UNKNOWN')
  await expect(listingAt(adopted, first, lostHead)).rejects.toThrow('POSITION_FOREIGN')
  const third = await list(adopted)
  const head = await headOf(adopted)
  expect(head).toMatch(/^esdb-[^-]+-e\d{13}-/)
  expect(head > lostHead).toBe(true)
  expect(await listingAt(adopted, third, head)).toBe(third)

  // While a platform runs, nothing is adopted.
  const refused = await runNode(['cli/log.ts', 'adopt'], settings)
  expect(refused).toMatchObject({ code: 1, printed: expect.stringContaining('LOG_IN_USE') })
}, 240_000)
