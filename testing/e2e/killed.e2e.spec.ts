// The platform is killed with -9 at random moments of a tour, while others rent and give back without pause, and
// started again: everything must finish whole.
// KILLS sets how often, KILL_SEED repeats a run.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { sleep } from '../../infra/async/sleep.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { processesNaming } from '../processes.ts'
import { createRandom } from '../random.ts'
import { inconsistencies, inconsistenciesAtRest } from '../worlds/consistency.ts'
import { startRentingLoad } from '../worlds/load.ts'
import {
  createTestFolder,
  startTestPlatform,
  stopTestPlatforms,
  type TestPlatform,
  withPlatformDatabase,
} from '../worlds/platform.ts'

const kills = Number(process.env.KILLS ?? 4)
const seed = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31))
const tourMs = 14_000
const restMsMax = 30_000

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeAll(async () => {
  folder = await createTestFolder()
})
afterEach(stopTestPlatforms)
afterAll(() => folder.remove())

/** Starts a tour on a platform. It fails when the platform is killed, as it should. */
const startTour = (url: string) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../cli/tour.ts'), '--url', url, '--json'], {
    env: { ...process.env, NODE_OPTIONS: '', DATA_DIR: folder.path },
    stdio: 'ignore',
  })
  const closed = once(child, 'close')
  return {
    stop: async () => {
      child.kill('SIGKILL')
      await closed
    },
  }
}

/** Resolves to the attempts that have a process, by its environment. */
const runningJobs = async (): Promise<ReadonlySet<string>> => {
  const found = await processesNaming(join(folder.path, 'jobs'))
  const attempts = found.flatMap(({ folder: attempt }) => (attempt ? [attempt] : []))
  return new Set(attempts)
}

const expectRest = async (platform: TestPlatform): Promise<void> => {
  const found = await withPlatformDatabase(folder.path, async (database) => {
    const store = await openPostgresEventStore({ database })
    const look = async () => {
      const jobs = await runningJobs()
      return inconsistencies(store, database, (job, attempt) => jobs.has(`${job}/${attempt}`))
    }
    return inconsistenciesAtRest(look, restMsMax).finally(store.close)
  })
  expect({ found, output: found.length > 0 ? platform.output() : '' }).toEqual({ found: [], output: '' })
}

test(`killed ${kills} times during a tour, all work always finishes whole (KILL_SEED=${seed})`, async () => {
  console.log(`KILL_SEED=${seed}`)
  const random = createRandom(seed)
  let rented = 0
  let platform = await startTestPlatform(folder.path)
  for (let kill = 1; kill <= kills; kill++) {
    const tour = startTour(platform.url)
    const load = startRentingLoad(platform.url)
    await sleep(random() * tourMs)
    await platform.kill()
    await tour.stop()
    rented += await load.stop()
    platform = await startTestPlatform(folder.path)
    await expectRest(platform)
  }
  expect(rented).toBeGreaterThan(kills)
  expect(await platform.stop()).toBe(0)
  expect(await processesNaming(folder.path)).toEqual([])
}, 600_000)
