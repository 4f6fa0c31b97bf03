import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { aggregates } from '../../domain/aggregates.ts'
import { encodeEvent } from '../../domain/events.ts'
import type { Json } from '../../infra/event-store/port.ts'
import { findJobs } from '../jobs.ts'
import { at, createSpecLog } from './log.testing.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'

const jobs = 550
const residentBytesMax = 700 * 1024 * 1024

let world: ReadWorld
beforeAll(async () => {
  world = await createReadWorld()
})
afterAll(() => world.close())

/** Appends the submission of a job whose environment has 1 MB. It is stored as an older program would have. */
const submitLarge = async (number: number) => {
  const event = {
    type: 'JobSubmitted',
    rental: 'r',
    renter: '0xr',
    command: ['true'],
    files: [],
    environment: {},
    timeoutSeconds: 60,
    cpuCores: 1,
    memoryMib: 64,
    submittedAt: at(number),
  } as const
  const { type, version, data } = encodeEvent(aggregates.job.schemas, event)
  const environment = { LARGE: String(number % 10).repeat(1_000_000) }
  await world.store.append({
    stream: `job-j${number}`,
    expected: 'no stream',
    events: [
      {
        id: createSpecLog(world.store).eventId(number),
        type,
        data: { ...(data as object), environment } as Json,
        metadata: {
          commandId: `command-${number}`,
          correlationId: 'c',
          causationId: 'c',
          actor: 'spec',
          time: at(number),
          schemaVersion: version,
        },
      },
    ],
  })
}

test('550 events of 1 MB are built into all read models in bounded memory', async () => {
  for (let number = 0; number < jobs; number++) await submitLarge(number)
  const program = fileURLToPath(new URL('../../testing/programs/rebuild.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [program], {
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: world.url },
  })
  expect(Number(stdout)).toBeGreaterThan(0)
  expect(Number(stdout)).toBeLessThan(residentBytesMax)
  expect(await findJobs(world.read, ['j0', `j${jobs - 1}`])).not.toContain(undefined)
}, 180_000)
