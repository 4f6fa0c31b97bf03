// A story with every type of event: independent chapters, each with its own people and ids. domain/golden-log/ stores
// its events; docs/events.md lists what caused them.

import { usdc } from '../../domain/money.testing.ts'
import { money } from '../../domain/money.ts'
import type { JobOutcome } from '../../infra/clusters/port.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { createGoldenWorld, type GoldenWorld, type StoryRecord } from './world.ts'

type Chapter = (world: GoldenWorld) => Promise<void>

const hour = 3600n
const price = 2_490_000n

/** Opens a market: a provider with a listing, and a renter with money. */
const opened = async (world: GoldenWorld, funds: bigint) => {
  const provider = world.wallet('provider')
  const renter = world.wallet('renter')
  await world.register(provider, 'Nébuleuse GPU')
  await world.pass(10)
  const listing = await world.list(provider, usdc(price))
  await world.pass(10)
  await world.pay(renter, funds)
  await world.pass(30)
  await world.finalize()
  return { provider, renter, listing }
}

const runAttempt = async ({ reports, now, pass }: GoldenWorld, job: string, attempt: number) => {
  const cluster = 'process'
  await reports.send(job, { type: 'StartJob', attempt, cluster, startedAt: now() }, cluster, String(attempt))
  await pass(5)
  return reports.createWatcher(job, attempt, async () => undefined)
}

/** Runs one attempt from its start to this end. */
const attemptEnds = async (world: GoldenWorld, job: string, attempt: number, outcome: JobOutcome) => {
  const watcher = await runAttempt(world, job, attempt)
  watcher.ended(outcome)
  await world.reports.idle()
}

const chapters: Readonly<Record<string, Chapter>> = {
  'a rental from the deposit to the invoice': async (world) => {
    const { provider, renter, listing } = await opened(world, 20_000_000n)
    await world.request('provider', provider, { type: 'RenameProvider', name: 'Nébuleuse 2' }, provider)
    await world.request('listing', listing, { type: 'ChangePrice', pricePerGpuHour: usdc(price + 1n) }, provider)
    const rental = await world.rent(renter, listing, { gpuCount: 2, seconds: hour, max: 3_000_000n })
    const job = await world.submit(renter, rental)
    const watcher = await runAttempt(world, job, 1)
    const progress = { attempt: 1, percent: 33.3, message: 'loss 0.25', reportedAt: world.now() } as const
    await world.reports.send(job, { type: 'ReportProgress', ...progress }, '1', 'a third')
    await world.pass(400)
    watcher.ended({ ended: 'exited', exitCode: 0 })
    await world.reports.idle()
    await world.pass(7)
    await world.giveBack(renter, rental)
  },

  'rentals that run out, and one that is given back unused': async (world) => {
    const { provider, renter, listing } = await opened(world, 20_000_000n)
    const terms = { gpuCount: 1, max: price }
    const job = await world.submit(renter, await world.rent(renter, listing, { ...terms, seconds: 450n }))
    await runAttempt(world, job, 1)
    await world.pass(450)
    const stop = { type: 'RequestStop', reason: 'the rental has ended', requestedAt: world.now() } as const
    await world.reports.send(job, stop)
    await world.reports.send(job, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() }, '1')
    const unused = await world.rent(renter, listing, { ...terms, seconds: hour })
    await world.giveBack(renter, unused)
    await world.request('listing', listing, { type: 'WithdrawListing' }, provider)
    await world.rent(renter, listing, { ...terms, seconds: hour })
  },

  'rentals that do not come about': async (world) => {
    const { renter, listing } = await opened(world, 1_000_000n)
    await world.rent(renter, listing, { gpuCount: 3, seconds: hour, max: price })
    await world.rent(renter, listing, { gpuCount: 1, seconds: hour, max: price - 1n })
    await world.rent(renter, listing, { gpuCount: 1, seconds: hour, max: price })
    await world.rent(world.wallet('somebody without an account'), listing, { gpuCount: 1, seconds: hour, max: price })
  },

  'deposits that vanish': async (world) => {
    const [payer, forever] = [world.wallet('payer'), world.wallet('payer for ever gone')]
    await world.pay(payer, 5_000_000n)
    await world.reorganise()
    await world.finalize()
    await world.pass(12)
    await world.pay(payer, 5_000_000n, 'other')
    await world.finalize()
    await world.pay(forever, 1n)
    await world.reorganise()
    await world.finalize()
  },

  'jobs that do not succeed': async (world) => {
    const { renter, listing } = await opened(world, 20_000_000n)
    const rental = await world.rent(renter, listing, { gpuCount: 1, seconds: 700n, max: price })
    const [unlucky, wrong, stopped, never] = [
      await world.submit(renter, rental),
      await world.submit(renter, rental),
      await world.submit(renter, rental),
      await world.submit(renter, rental),
    ]
    for (const attempt of [1, 2, 3]) await attemptEnds(world, unlucky, attempt, { ended: 'lost' })
    await attemptEnds(world, wrong, 1, { ended: 'exited', exitCode: 2 })
    const watcher = await runAttempt(world, stopped, 1)
    await world.stopJob(renter, stopped)
    watcher.ended({ ended: 'stopped' })
    await world.reports.idle()
    await world.stopJob(renter, never)
    await world.pass(700)
  },

  'rentals that end when their last job has ended': async (world) => {
    const { renter, listing } = await opened(world, 20_000_000n)
    const terms = { gpuCount: 1, max: price }
    const returned = await world.rent(renter, listing, { ...terms, seconds: hour })
    const stopped = await runAttempt(world, await world.submitAdmitted(renter, returned), 1)
    await world.giveBack(renter, returned)
    await world.pass(5)
    stopped.ended({ ended: 'stopped' })
    await world.reports.idle()
    await world.follow()
    const expired = await world.rent(renter, listing, { ...terms, seconds: 400n })
    await attemptEnds(world, await world.submitAdmitted(renter, expired), 1, { ended: 'exited', exitCode: 0 })
    await world.follow()
    const last = await runAttempt(world, await world.submitAdmitted(renter, expired, 45), 1)
    await world.pass(400)
    last.ended({ ended: 'exited', exitCode: 0 })
    await world.reports.idle()
    await world.follow()
  },

  'codes and money that are seldom seen': async (world) => {
    const { renter, listing } = await opened(world, 20_000_000n)
    const rental = await world.rent(renter, listing, { gpuCount: 1, seconds: 300n, max: price })
    for (const code of [
      'JOB_COMMAND_NOT_FOUND',
      'JOB_TIMED_OUT',
      'JOB_MEMORY_EXCEEDED',
      'JOB_OUTPUT_EXCEEDED',
    ] as const) {
      const message = 'python3: naïve “quotes”, a \n line and 🦆'
      await attemptEnds(world, await world.submit(renter, rental), 1, { ended: 'failed', code, message })
    }
    const early = { at: world.now(), notAfter: world.now() }
    const late = { at: world.now(), notAfter: '2025-12-31T23:59:59Z' }
    const reserve = { type: 'ReserveCapacity', rental, gpuCount: 1, maxPricePerGpuHour: usdc(price) } as const
    await world.sendAs('rent-a-gpu', 'listing', listing, { ...reserve, ...late })
    await world.sendAs('rent-a-gpu', 'listing', listing, { ...reserve, ...early })
    await world.sendAs('rent-a-gpu', 'listing', listing, { ...reserve, ...early, rental: 'r', gpuCount: 0 })
    const hold = { type: 'HoldFunds', user: renter, rental, amount: usdc(1n) } as const
    await world.sendAs('rent-a-gpu', 'account', renter, { ...hold, ...late })
    await world.sendAs('rent-a-gpu', 'account', renter, { ...hold, ...early })
    await world.sendAs('rent-a-gpu', 'account', renter, { ...hold, ...early, rental: 'r', amount: usdc(0n) })
    for (const asset of ['NMESH/18', 'ETH/18', 'USD/2'] as const) {
      // More than a JSON number holds.
      const amount = money(123_456_789_012_345_678_901_234_567n, asset)
      await world.sendAs('rent-a-gpu', 'account', renter, { ...hold, ...early, rental: asset, amount })
    }
    await world.pass(300)
  },

  'jobs that end with the lease, and one whose cluster is lost': async (world) => {
    const { renter, listing } = await opened(world, 20_000_000n)
    const terms = { gpuCount: 1, max: price }
    const lease = await world.rent(renter, listing, { ...terms, seconds: 300n })
    await attemptEnds(world, await world.submitAdmitted(renter, lease), 1, { ended: 'expired' })
    await world.follow()
    await world.pass(300)
    const returned = await world.rent(renter, listing, { ...terms, seconds: hour })
    const lost = await world.submitAdmitted(renter, returned)
    await runAttempt(world, lost, 1)
    await world.giveBack(renter, returned)
    await world.pass(600)
    await world.declareLost(world.wallet('operator'), lost)
  },
}

export const chapterNames: readonly string[] = Object.keys(chapters)

/** Runs one chapter on a store, from a moment on (ISO 8601). The same edition writes the same events again; another
 *  edition writes them about other people. Resolves to the commands that were sent and the timers that were set.
 *  Throws when there is no such chapter. */
export const playChapter = async (
  store: EventStore,
  name: string,
  edition: string,
  start: string,
): Promise<StoryRecord> => {
  const chapter = chapters[name]
  if (!chapter) throw new Error(`There is no chapter ${name}`)
  const record: StoryRecord = { sent: [], timers: new Map(), acts: [] }
  await chapter(createGoldenWorld(store, `${edition}: ${name}`, start, record))
  return record
}
