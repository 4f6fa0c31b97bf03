// A rental that ends while a job runs, on a whole platform: the job has its grace, the GPU stays reserved, and the end is
// recorded after the job's, also when the platform dies in between. A deployment leaves jobs running.
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { Client } from '../../cli/client.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms, type TestPlatform } from '../worlds/platform.ts'
import { createListing, createRenter } from '../worlds/renter.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeEach(async () => {
  folder = await createTestFolder()
})
afterEach(async () => {
  await stopTestPlatforms()
  await folder.remove()
})

const start = (settings: Record<string, string> = {}) =>
  startTestPlatform(folder.path, { JOB_TRUST: 'own', ...settings })

/** A program that writes a checkpoint when it is asked to stop, which takes it a second. */
const checkpoint = ["trap 'sleep 1; echo saved; exit 0' TERM", 'echo progress 1', 'while :; do sleep 0.1; done'].join(
  '\n',
)

type Rental = { status: string; openJobs: number; endReason: string | null; invoice: { id: string } | null }
type State = {
  rental: Rental
  job: { status: string; attempt: number; log: { text: string } }
  listing: { freeGpus: number }
}

const rented = async (platform: TestPlatform, graceSeconds?: number) => {
  const listing = await createListing(platform.url, 1, '2.5')
  const { client, wallet } = await createRenter(platform.url, 5_000_000n)
  const request = { listing, gpuCount: 1, hours: 1, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() }
  const { id: rental } = await client.mutate<{ id: string }>('rentGpu', request, 'id position')
  const program = { command: ['sh', '-c', checkpoint], ...(graceSeconds === undefined ? {} : { graceSeconds }) }
  const submit = { rental, idempotencyKey: crypto.randomUUID(), ...program }
  const { id: job } = await client.mutate<{ id: string }>('submitJob', submit, 'id position')
  const state = async (on: Client = client) => {
    const { head } = await on.query<{ head: string }>('{ head }')
    const query = `query ($rental: ID!, $job: ID!, $listing: ID!, $head: Position) {
      rental(id: $rental, atLeast: $head) { status openJobs endReason invoice { id } }
      job(id: $job, atLeast: $head) { status attempt log { text } }
      listing(id: $listing, atLeast: $head) { freeGpus }
    }`
    return on.query<State>(query, { rental, job, listing, head })
  }
  await eventually('the job runs', async () => (await state()).job.log.text.includes('progress 1'), 30_000)
  return { client, wallet, rental, job, state }
}

test('it is ending until its job has saved its work, and then it has its invoice', async () => {
  const platform = await start()
  const { client, rental, state } = await rented(platform, 20)
  type Answer = { rental: Rental }
  const fields = 'position rental { status openJobs endReason invoice { id } }'
  const answer = await client.mutate<Answer>('endRental', { rental }, fields)
  expect(answer.rental).toEqual({ status: 'ending', openJobs: 1, endReason: 'returned', invoice: null })
  expect((await state()).listing.freeGpus).toBe(0)
  type Update = { rentalUpdated: { rental: Rental } }
  const subscription = 'subscription ($id: ID!) { rentalUpdated(id: $id) { rental { status openJobs endReason } } }'
  for await (const { rentalUpdated } of client.subscribe<Update>(subscription, { id: rental }))
    if (rentalUpdated.rental.status === 'settled') break
  const over = await state()
  expect(over.rental).toMatchObject({ status: 'settled', openJobs: 0, invoice: { id: rental } })
  expect(over.job.status).toBe('stopped')
  expect(over.job.log.text).toContain('saved')
  expect(over.listing.freeGpus).toBe(1)
  const again = await client.mutate<Answer>('endRental', { rental }, fields)
  expect(again.rental.status).toBe('settled')
  await client.close()
}, 120_000)

test('it goes on ending when the platform is killed right after the request', async () => {
  const platform = await start()
  const { client, rental } = await rented(platform, 20)
  await client.mutate('endRental', { rental }, 'position')
  await platform.kill()
  await client.close()
  const next = await start()
  const { client: other } = await createRenter(next.url, 0n)
  const free = async () => {
    const { listings } = await other.query<{ listings: { nodes: { freeGpus: number }[] } }>(
      '{ listings(first: 1) { nodes { freeGpus } } }',
    )
    return listings.nodes[0]?.freeGpus === 1
  }
  await eventually('the GPU is free again', free, 60_000)
  await other.close()
}, 180_000)

test('SIGTERM leaves a job to the next platform where JOBS_ON_SIGTERM is leave', async () => {
  const platform = await start({ JOBS_ON_SIGTERM: 'leave' })
  const { client, state } = await rented(platform)
  expect((await state()).job.attempt).toBe(1)
  const running = await jobProcesses()
  expect(running.length).toBeGreaterThan(0)
  await client.close()
  await platform.stop()
  expect(await jobProcesses()).toEqual(running)
  const next = await start()
  await delay(2_000)
  expect(await jobProcesses()).toEqual(running)
  await next.stop()
  expect(await jobProcesses()).toEqual([])
}, 180_000)

/** Resolves to the processes of jobs of this folder, but for those that come and go. */
const jobProcesses = async (): Promise<readonly number[]> =>
  (await processesNaming(folder.path))
    .flatMap(({ pid, command, folder }) => (folder === undefined || command.startsWith('sleep') ? [] : pid))
    .toSorted()
