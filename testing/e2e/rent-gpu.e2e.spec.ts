import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { AnswerError } from '../../cli/answer-error.ts'
import type { Client } from '../../cli/client.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { inconsistencies } from '../worlds/consistency.ts'
import {
  createTestFolder,
  startTestPlatform,
  stopTestPlatforms,
  type TestPlatform,
  withPlatformDatabase,
} from '../worlds/platform.ts'
import { availableUnits, createListing, createRenter } from '../worlds/renter.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
let platform: TestPlatform
beforeAll(async () => {
  folder = await createTestFolder()
  platform = await startTestPlatform(folder.path)
})
afterAll(async () => {
  await stopTestPlatforms()
  await folder.remove()
})
const clients: Client[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
})

const renterWith = async (units: bigint) => {
  const renter = await createRenter(platform.url, units)
  clients.push(renter.client)
  return renter
}

type Rented = { readonly id: string; readonly rental: { readonly status: string } }

/** Resolves to the rental, or to the code of the refusal. */
const rent = async (client: Client, input: Record<string, unknown>): Promise<Rented | string> => {
  try {
    const request = { gpuCount: 1, hours: 1, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID(), ...input }
    return await client.mutate<Rented>('rentGpu', request, 'id rental { status } position')
  } catch (error) {
    if (error instanceof AnswerError) return error.code
    throw error
  }
}

const isRented = (answer: Rented | string): answer is Rented => typeof answer !== 'string'

test('200 requests for one listing of 8 GPUs at once: exactly 8 get one, 192 are answered that it is full, and the books are balanced', async () => {
  const listing = await createListing(platform.url, 8, '2.5')
  const renters = await Promise.all([1, 2, 3, 4].map(() => renterWith(200_000_000n)))
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => rent(renters[index % 4]?.client as Client, { listing })),
  )

  const rented = answers.filter(isRented)
  expect(rented).toHaveLength(8)
  expect(new Set(rented.map(({ id }) => id)).size).toBe(8)
  expect(rented.map(({ rental }) => rental.status)).toEqual(Array(8).fill('active'))
  expect(answers.filter((answer) => answer === 'LISTING_FULL')).toHaveLength(192)

  const client = renters[0]?.client as Client
  type State = { listing: { freeGpus: number }; ledgerSums: { sum: { amount: string } }[] }
  const { head } = await client.query<{ head: string }>('{ head }')
  const state = await client.query<State>(
    'query ($id: ID!, $head: Position) { listing(id: $id, atLeast: $head) { freeGpus } ledgerSums { sum { amount } } }',
    { id: listing, head },
  )
  expect(state.listing.freeGpus).toBe(0)
  expect(state.ledgerSums).toEqual([{ sum: { amount: '0' } }])
  const left = await Promise.all(renters.map((renter) => availableUnits(renter.client)))
  expect(left.reduce((sum, units) => sum + units, 0n)).toBe(4n * 200_000_000n - 8n * 2_500_000n)

  await withPlatformDatabase(folder.path, async (database) => {
    const store = await openPostgresEventStore({ database })
    expect(await inconsistencies(store, database, () => true).finally(store.close)).toEqual([])
  })
}, 120_000)

describe('a request that cannot be granted is refused with its code, and nothing stays held', () => {
  let listing: string
  beforeAll(async () => {
    listing = await createListing(platform.url, 1, '2.5')
  })

  test.each([
    { why: 'a GPU without an offer', input: { gpu: 'H900' }, code: 'GPU_UNKNOWN' },
    {
      why: 'a maximum below every offer',
      input: { gpu: 'h100', maxPricePerGpuHour: '0.01' },
      code: 'PRICE_ABOVE_MAXIMUM',
    },
    { why: 'more GPUs than any listing has', input: { gpu: 'H100', gpuCount: 500 }, code: 'NO_FITTING_OFFER' },
    { why: 'a region without offers', input: { gpu: 'H100', region: 'Antarctica' }, code: 'NO_FITTING_OFFER' },
    {
      why: 'a listing that does not exist',
      input: { listing: 'f4b3a1de-0000-7000-8000-000000000000' },
      code: 'LISTING_UNKNOWN',
    },
    { why: 'no time at all', input: { gpu: 'H100', hours: undefined, seconds: 0 }, code: 'RENTAL_INVALID' },
  ])('$why: $code', async ({ input, code }) => {
    const { client } = await renterWith(5_000_000n)
    expect(await rent(client, input)).toBe(code)
    expect(await availableUnits(client)).toBe(5_000_000n)
  })

  test('the price of the named listing above the maximum: PRICE_ABOVE_MAXIMUM', async () => {
    const { client } = await renterWith(5_000_000n)
    expect(await rent(client, { listing, maxPricePerGpuHour: '2.49' })).toBe('PRICE_ABOVE_MAXIMUM')
    expect(await availableUnits(client)).toBe(5_000_000n)
  })

  test('a balance one unit too small: INSUFFICIENT_FUNDS', async () => {
    const { client } = await renterWith(2_499_999n)
    expect(await rent(client, { listing })).toBe('INSUFFICIENT_FUNDS')
    expect(await availableUnits(client)).toBe(2_499_999n)
  })

  test('a listing that another renter took a moment ago: LISTING_FULL, and it is free again when that renter returns it', async () => {
    const [first, second] = await Promise.all([renterWith(5_000_000n), renterWith(5_000_000n)])
    const taken = await rent(first.client, { listing })
    expect(isRented(taken)).toBe(true)
    expect(await rent(second.client, { listing })).toBe('LISTING_FULL')
    const id = isRented(taken) ? taken.id : ''
    for await (const { rentalUpdated } of first.client.subscribe<{ rentalUpdated: { rental: { status: string } } }>(
      'subscription ($id: ID!) { rentalUpdated(id: $id) { rental { status } } }',
      { id },
    )) {
      if (rentalUpdated.rental.status === 'active') await first.client.mutate('endRental', { rental: id }, 'position')
      if (rentalUpdated.rental.status === 'settled') break
    }
    expect(isRented(await rent(second.client, { listing }))).toBe(true)
  })

  test('a job whose command does not exist fails with JOB_COMMAND_NOT_FOUND, by its name', async () => {
    const { client } = await renterWith(5_000_000n)
    const own = await createListing(platform.url, 1, '1')
    const rented = await rent(client, { listing: own })
    const rental = isRented(rented) ? rented.id : ''
    const { id } = await client.mutate<{ id: string }>(
      'submitJob',
      { rental, command: ['frobnicate'], idempotencyKey: crypto.randomUUID() },
      'id position',
    )
    type Update = { jobProgress: { job: { status: string; code: string | null; message: string } } }
    for await (const { jobProgress } of client.subscribe<Update>(
      'subscription ($id: ID!) { jobProgress(job: $id) { job { status code message } } }',
      { id },
    )) {
      const { status, code, message } = jobProgress.job
      if (status === 'queued' || status === 'running') continue
      expect({ status, code }).toEqual({ status: 'failed', code: 'JOB_COMMAND_NOT_FOUND' })
      expect(message).toContain('frobnicate')
      break
    }
  })
})
