import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { usdc } from '../domain/money.testing.ts'
import { accountBalances } from './accounts.ts'
import { at, createSpecLog, type SpecLog } from './engine/log.testing.ts'
import { writeRentals } from './engine/market.testing.ts'
import type { Projections } from './engine/start.ts'
import { createReadWorld, type ReadWorld } from './engine/world.testing.ts'
import { findInvoice, findInvoices, listInvoices } from './invoices.ts'
import { findJob, findJobs, listJobs, openJobIds } from './jobs.ts'
import { ledgerSums, listLedgerEntries } from './ledger-entries.ts'
import { findListings, searchListings } from './listings.ts'
import type { Page } from './page.ts'
import { findPayment, listPayments, pendingPayments } from './payments.ts'
import { findProvider, findProviders } from './providers.ts'
import { findRental, findRentals, listRentals, rentals } from './rentals.ts'

let world: ReadWorld
let log: SpecLog
let running: Projections

/** 12 rentals, of which every third is settled and every third rejected. */
beforeAll(async () => {
  world = await createReadWorld()
  running = world.start()
  log = createSpecLog(world.store)
  const ends = ['settled', 'active', 'rejected'] as const
  const scenarios = Array.from({ length: 12 }, (_, number) => ({ number, end: ends[number % 3] ?? 'settled' }))
  await writeRentals(log, scenarios, [])
  await log.write('provider', '0xp', { type: 'ProviderRegistered', wallet: '0xp', name: 'Acme', registeredAt: at(0) })
  await world.caughtUp()
})
afterAll(() => world.close())
beforeEach(() => {
  world.asked.length = 0
})

const idsOf = (page: Page<{ readonly id: string }>) => page.rows.map(({ id }) => id)

describe('finding', () => {
  test('a rental, a job, a payment and a provider too', async () => {
    expect(await findRental(world.read, 'r0')).toMatchObject({
      status: 'settled',
      seconds: 3600n,
      runSeconds: 300n,
      held: 7_200_000n,
      charged: 600_000n,
      released: 6_600_000n,
      startedAt: at(1),
      refusal: null,
    })
    expect(await findJob(world.read, 'j1')).toMatchObject({
      status: 'running',
      command: ['true'],
      files: [],
      environment: {},
      percent: 33.3,
      stopRequested: false,
    })
    expect(await openJobIds(world.read, 'r1')).toEqual(['j1'])
    expect(await openJobIds(world.read)).toContain('j1')
    expect(await findPayment(world.read, 'p3')).toMatchObject({ status: 'final', blockNumber: 3n, amount: 7_200_000n })
    expect(await findProvider(world.read, '0xp')).toMatchObject({ name: 'Acme' })
  })

  test('nothing where there is nothing', async () => {
    expect(await findRental(world.read, 'none')).toBeUndefined()
    expect(await findPayment(world.read, 'none')).toBeUndefined()
    expect(await accountBalances(world.read, 'none')).toEqual([])
  })

  test.each([
    ['listings', findListings, 'l'],
    ['rentals', findRentals, 'r'],
    ['jobs', findJobs, 'j'],
  ] as const)('1 or 100 %s take one query', async (name, find, prefix) => {
    await find(world.read, [`${prefix}1`])
    expect(world.asked).toEqual([`${name}.find`])
    world.asked.length = 0
    const ids = Array.from({ length: 100 }, (_, number) => `${prefix}${99 - number}`)
    const found = await find(world.read, ids)
    expect(world.asked).toEqual([`${name}.find`])
    expect(found).toHaveLength(100)
    expect(found[98]?.id).toBe(`${prefix}1`)
    expect(found[0]).toBeUndefined()
  })

  test('providers and invoices of many take one query each', async () => {
    await findProviders(world.read, ['0xp', 'none'])
    await findInvoices(world.read, ['r0', 'r1'])
    expect(world.asked).toEqual(['providers.find', 'invoices.find'])
  })
})

describe('lists', () => {
  test('of rentals are the newest first, by renter, provider and status', async () => {
    const all = await listRentals(world.read, { first: 100 })
    expect(idsOf(all)).toEqual(Array.from({ length: 12 }, (_, number) => `r${11 - number}`))
    expect(idsOf(await listRentals(world.read, { first: 9, renter: '0xr0' }))).toEqual(['r7', 'r0'])
    expect(idsOf(await listRentals(world.read, { first: 9, provider: '0xp', status: 'settled' }))).toEqual([
      'r9',
      'r6',
      'r3',
      'r0',
    ])
  })

  test('of rentals page stably while rentals are asked for', async () => {
    const first = await listRentals(world.read, { first: 5 })
    const position = await log.write('rental', 'newest', {
      type: 'RentalRequested',
      listing: 'o1',
      renter: '0xr0',
      gpuCount: 1,
      seconds: 60n,
      maxPricePerGpuHour: usdc(1n),
      requestedAt: at(999),
    })
    await running.waitFor(position, 15_000)
    const second = await listRentals(world.read, { first: 5, after: first.endCursor })
    expect([...idsOf(first), ...idsOf(second)]).toEqual(Array.from({ length: 10 }, (_, number) => `r${11 - number}`))
    expect(idsOf(await listRentals(world.read, { first: 1 }))).toEqual(['newest'])
  })

  test('of jobs, by rental, renter and status', async () => {
    expect(idsOf(await listJobs(world.read, { first: 9, rental: 'r3' }))).toEqual(['j3'])
    expect(idsOf(await listJobs(world.read, { first: 9, renter: '0xr0' }))).toEqual(['j7', 'j0'])
    const active = await listJobs(world.read, { first: 2, status: 'running' })
    expect(idsOf(active)).toEqual(['j10', 'j7'])
    expect(idsOf(await listJobs(world.read, { first: 9, status: 'running', after: active.endCursor }))).toEqual([
      'j4',
      'j1',
    ])
  })

  test('of invoices show the issued ones alone', async () => {
    expect(idsOf(await listInvoices(world.read, { first: 9 }))).toEqual(['r9', 'r6', 'r3', 'r0'])
    const first = await listInvoices(world.read, { first: 2 })
    expect(idsOf(await listInvoices(world.read, { first: 2, after: first.endCursor }))).toEqual(['r3', 'r0'])
    expect(idsOf(await listInvoices(world.read, { first: 9, renter: '0xr6' }))).toEqual(['r6'])
    expect(await findInvoice(world.read, 'r0')).toMatchObject({
      lines: [{ firstEventId: 'metered-0', lastEventId: 'metered-0', periods: 1, seconds: '300', amount: '600000' }],
      total: 600_000n,
      asset: 'USDC/6',
    })
    expect(await findInvoice(world.read, 'r1')).toBeUndefined()
  })

  test('of payments, and those that wait for finality', async () => {
    expect(idsOf(await listPayments(world.read, { first: 9, user: '0xr0' }))).toEqual(['p7', 'p0'])
    const first = await listPayments(world.read, { first: 5 })
    expect(idsOf(await listPayments(world.read, { first: 9, after: first.endCursor }))).toHaveLength(7)
    for (const [payment, blockNumber] of [
      ['late', 90n],
      ['early', 80n],
    ] as const)
      await log.write('payment', payment, {
        type: 'DepositObserved',
        payment,
        user: '0xq',
        amount: usdc(1n),
        chainId: 1,
        transactionHash: '0x',
        blockNumber,
        blockHash: '0x',
      })
    await world.caughtUp()
    const pendingAt = async (block: bigint) => (await pendingPayments(world.read, block)).map(({ id }) => id)
    expect(await pendingAt(79n)).toEqual([])
    expect(await pendingAt(80n)).toEqual(['early'])
    expect(await pendingAt(90n)).toEqual(['early', 'late'])
  })

  test('a cursor of another list is refused', async () => {
    const { endCursor } = await searchListings(world.read, { first: 1 })
    await expect(listRentals(world.read, { first: 1, after: endCursor })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
  })
})

describe('the ledger', () => {
  test('shows a user what touched their money, the newest first, page by page', async () => {
    const all = await listLedgerEntries(world.read, { first: 100, user: '0xr0' })
    expect(all.rows.map(({ type }) => type)).toEqual([
      'FundsHeld',
      'DepositCredited',
      'HoldReleased',
      'HoldCaptured',
      'FundsHeld',
      'DepositCredited',
    ])
    const first = await listLedgerEntries(world.read, { first: 2, user: '0xr0' })
    const second = await listLedgerEntries(world.read, { first: 9, user: '0xr0', after: first.endCursor })
    expect([...first.rows, ...second.rows]).toEqual(all.rows)
  })

  test('is even: per asset the sum over all accounts is zero, and the balances are those of the users', async () => {
    const { accounts, assets } = await ledgerSums(world.read)
    expect(assets).toEqual([{ asset: 'USDC/6', sum: 0n }])
    const figureOf = (account: string) => accounts.find((found) => found.account === account)?.figure
    const [balance] = await accountBalances(world.read, '0xr0')
    expect(balance).toMatchObject({ available: 6_600_000n, held: 7_200_000n })
    expect(figureOf('user:0xr0:available')).toBe(-6_600_000n)
    expect(figureOf('user:0xr0:held')).toBe(-7_200_000n)
    expect(figureOf('custody:31337')).toBe(12n * 7_200_000n)
    expect(figureOf('transit:deposit:p0')).toBe(0n)
  })
})

test('rows carry the position of the event that last changed them', async () => {
  const [last] = await Array.fromAsync(world.store.readStream('rental-r0', { direction: 'backwards', limit: 1 }))
  expect((await findRental(world.read, 'r0'))?.position).toBe(last?.position)
  expect(rentals.types).toContain(last?.type)
})
