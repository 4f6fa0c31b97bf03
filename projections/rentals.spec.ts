import { describe, expect, test } from '@jest/globals'
import { usdc } from '../domain/money.testing.ts'
import type { Event } from '../domain/rental.ts'
import { at, rowsOf, stampsOf } from './engine/log.testing.ts'
import { invoices } from './invoices.ts'
import { rentals } from './rentals.ts'

const requested: Event = {
  type: 'RentalRequested',
  listing: 'l1',
  renter: '0xr',
  gpuCount: 2,
  seconds: 3600n,
  maxPricePerGpuHour: usdc(3_000_000n),
  requestedAt: at(0),
}
const activated: Event = {
  type: 'RentalActivated',
  provider: '0xp',
  gpu: 'H100',
  pricePerGpuHour: usdc(2_650_000n),
  held: usdc(5_300_000n),
  startedAt: at(1),
  endsAt: at(3601),
}
const metered: Event = {
  type: 'UsageMetered',
  runSeconds: 300n,
  fee: usdc(441_666n),
  total: usdc(441_666n),
  meteredAt: at(301),
}
const ended: Event = {
  type: 'RentalEnded',
  reason: 'returned',
  runSeconds: 300n,
  charged: usdc(441_666n),
  endedAt: at(301),
}
const line = {
  firstEventId: 'e3',
  lastEventId: 'e3',
  periods: 1,
  description: '2 × H100',
  seconds: 300n,
  amount: usdc(441_666n),
}
const invoiced: Event = {
  type: 'InvoiceIssued',
  lines: [line],
  total: usdc(441_666n),
  released: usdc(4_858_334n),
  issuedAt: at(302),
}

/** Returns the columns of a phase that event number `n` begins. */
const since = <Status extends string>(status: Status, n: number) => ({
  [`${status}Position`]: stampsOf(n).position,
  [`${status}By`]: at(n),
})
/** Returns the stamps of a row that event number `n` changed last, if no clock went back. */
const stamps = (n: number) => ({ ...stampsOf(n), latestTime: at(n) })

describe('a rental', () => {
  const asked = {
    id: 'r1',
    openJobs: 0,
    endRequestedAt: null,
    ...{ endingBy: null, endingPosition: null },
    status: 'requested',
    renter: '0xr',
    provider: null,
    listing: 'l1',
    gpu: null,
    gpuCount: 2,
    seconds: 3600n,
    runSeconds: 0n,
    asset: 'USDC/6',
    maxPricePerGpuHour: 3_000_000n,
    pricePerGpuHour: null,
    held: null,
    charged: 0n,
    released: null,
    refusal: null,
    endReason: null,
    requestedAt: at(0),
    startedAt: null,
    endsAt: null,
    endedAt: null,
    settledAt: null,
    correlationId: 'correlation-0',
    ...since('requested', 0),
    activePosition: null,
    activeBy: null,
    overPosition: null,
    overBy: null,
    settledPosition: null,
    settledBy: null,
  }
  const active = {
    ...asked,
    status: 'active',
    provider: '0xp',
    gpu: 'H100',
    pricePerGpuHour: 2_650_000n,
    held: 5_300_000n,
    startedAt: at(1),
    endsAt: at(3601),
    ...since('active', 1),
  }
  const used = { ...active, runSeconds: 300n, charged: 441_666n }
  const over = { ...used, status: 'ended', endReason: 'returned', endedAt: at(301), ...since('over', 3) }
  const rows = (...events: Event[]) => rowsOf(rentals, 'rental', 'r1', ...events)

  test('is asked for', async () => expect(await rows(requested)).toEqual([{ ...asked, ...stamps(0) }]))

  test('is rejected', async () =>
    expect(await rows(requested, { type: 'RentalRejected', code: 'LISTING_FULL', rejectedAt: at(1) })).toEqual([
      { ...asked, status: 'rejected', refusal: 'LISTING_FULL', endedAt: at(1), ...since('over', 1), ...stamps(1) },
    ]))

  test('becomes active', async () => expect(await rows(requested, activated)).toEqual([{ ...active, ...stamps(1) }]))

  test('is metered', async () => expect(await rows(requested, activated, metered)).toEqual([{ ...used, ...stamps(2) }]))

  test('ends', async () =>
    expect(await rows(requested, activated, metered, ended)).toEqual([{ ...over, ...stamps(3) }]))

  test('is settled', async () =>
    expect(await rows(requested, activated, metered, ended, invoiced)).toEqual([
      { ...over, status: 'settled', released: 4_858_334n, settledAt: at(302), ...since('settled', 4), ...stamps(4) },
    ]))
})

describe('the invoice of a rental', () => {
  const draft = {
    id: 'r1',
    status: 'draft',
    renter: '0xr',
    provider: null,
    listing: 'l1',
    gpu: null,
    gpuCount: 2,
    pricePerGpuHour: null,
    runSeconds: 0n,
    lines: [],
    total: 0n,
    released: 0n,
    asset: 'USDC/6',
    startedAt: null,
    endedAt: null,
    issuedAt: null,
  }
  const rows = (...events: Event[]) => rowsOf(invoices, 'rental', 'r1', ...events)

  test('is a draft at first', async () => expect(await rows(requested)).toEqual([{ ...draft, ...stampsOf(0) }]))

  test('is void when the rental was rejected', async () =>
    expect(await rows(requested, { type: 'RentalRejected', code: 'LISTING_FULL', rejectedAt: at(1) })).toEqual([
      { ...draft, status: 'void', ...stampsOf(1) },
    ]))

  test('is issued with its lines', async () =>
    expect(await rows(requested, activated, metered, ended, invoiced)).toEqual([
      {
        ...draft,
        status: 'issued',
        provider: '0xp',
        gpu: 'H100',
        pricePerGpuHour: 2_650_000n,
        runSeconds: 300n,
        lines: [
          {
            firstEventId: 'e3',
            lastEventId: 'e3',
            periods: 1,
            description: '2 × H100',
            seconds: '300',
            amount: '441666',
          },
        ],
        total: 441_666n,
        released: 4_858_334n,
        startedAt: at(1),
        endedAt: at(301),
        issuedAt: at(302),
        ...stampsOf(4),
      },
    ]))
})
