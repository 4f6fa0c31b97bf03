// The log is put back under a running platform: it says so, and does nothing more.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
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

const readyOf = async (url: string) => {
  const response = await fetch(`${url}/ready`)
  return { status: response.status, ...((await response.json()) as { parts: Record<string, string> }) }
}

test('a platform whose log is put back answers LOG_REPLACED, is not ready, and writes nothing', async () => {
  const platform = await startTestPlatform(folder.path, { EVENTSTORE_URL: server.url })
  await createListing(platform.url, 1, '2')
  const backup = [...server.log.records]
  await createListing(platform.url, 1, '2')
  await server.replaceLog(createServerLog(backup))

  await expect(createListing(platform.url, 1, '2')).rejects.toThrow('LOG_REPLACED')
  const ready = await eventually('it to say so', async () => {
    const found = await readyOf(platform.url)
    return found.parts.log === undefined ? undefined : found
  })
  expect(ready).toEqual({
    status: 503,
    ready: false,
    parts: { database: 'up', log: 'LOG_REPLACED', projections: 'unknown' },
  })
  expect(server.log.records.map(({ id }) => id)).toEqual(backup.map(({ id }) => id))
  expect(await platform.stop()).toBe(0)
}, 120_000)
