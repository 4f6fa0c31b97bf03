import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { runReplay } from '../cli/replay.ts'
import { formatAmount, money } from '../domain/money.ts'
import { allProjections } from '../projections/all.ts'
import { startProjections } from '../projections/engine/start.ts'
import { createReadWorld, type ReadWorld } from '../projections/engine/world.testing.ts'
import { listInvoices } from '../projections/invoices.ts'
import { ledgerSums } from '../projections/ledger-entries.ts'
import { createRentals, walletOf } from '../testing/worlds/rentals.ts'
import standard, { bySecond, byStartedMinute, revenueByGpu } from './revenue-by-gpu.ts'

const schema = 'replay_revenue'
let world: ReadWorld
beforeEach(async () => {
  world = await createReadWorld()
})
afterEach(() => world.close())

const rentals = [
  { renter: 1, gpu: 'H100', gpuCount: 2, price: 2_190_001n, runs: [301, 600, 4_000, 9_999] },
  { renter: 2, gpu: 'H100', gpuCount: 1, price: 2_490_000n, runs: [7, 61] },
  { renter: 1, gpu: 'A100-80GB', gpuCount: 4, price: 1_190_003n, runs: [86_399, 100_001] },
  { renter: 3, gpu: 'RTX4090', gpuCount: 1, price: 340_000n, runs: [1] },
]

const replay = (of: typeof standard, period = {}) =>
  runReplay({ replay: of, schema, period, about: {}, ...world, signal: new AbortController().signal })

type Sums = {
  readonly rows: bigint
  readonly charged: string
  readonly under_rule: string
  readonly gpu_seconds: string
}
const sumsOf = async (condition = 'true') => {
  const [sums] = await world.database.query<Sums>(
    'spec',
    `select count(*) as rows, sum(charged) as charged, sum(under_rule) as under_rule, sum(gpu_seconds) as gpu_seconds
     from ${schema}.revenue where ${condition}`,
  )
  return sums
}
const usdc = (amount: bigint) => formatAmount(money(amount, 'USDC/6'))
/** Returns a decimal number without trailing zeros: "2.190000" and "2.19" are the same. */
const plain = (numeric: string | undefined) => numeric?.replace(/\.?0+$/, '')

test('under the rule of the platform, the hours add up to the invoices and to the ledger, to the last minor unit', async () => {
  const market = createRentals(world.store)
  for (const rental of rentals) {
    await market.rent(rental)
    market.pass(1_777)
  }
  const projections = startProjections({ projections: allProjections, ...world })
  await projections.waitFor(await world.store.head(), 30_000)
  await projections.close()
  await replay(revenueByGpu(bySecond))

  const { rows: invoices } = await listInvoices(world.read, { first: 100 })
  expect(invoices).toHaveLength(4)
  const total = usdc(invoices.reduce((sum, invoice) => sum + invoice.total, 0n))
  const sums = await sumsOf()
  expect({ charged: plain(sums?.charged), underRule: plain(sums?.under_rule) }).toEqual({
    charged: total,
    underRule: total,
  })
  const seconds = invoices.reduce((sum, { runSeconds, gpuCount }) => sum + runSeconds * BigInt(gpuCount), 0n)
  expect(sums?.gpu_seconds).toBe(String(seconds))
  const { accounts } = await ledgerSums(world.read)
  const earned = accounts.find(({ account }) => account === `user:${walletOf('provider')}:available`)
  expect(usdc(-(earned?.figure ?? 0n))).toBe(total)

  const byGpu = await world.database.query<{ gpu: string; hours: bigint; charged: string }>(
    'spec',
    `select gpu, count(*) as hours, sum(charged) as charged from ${schema}.revenue group by gpu order by gpu`,
  )
  const invoiced = Map.groupBy(invoices, ({ gpu }) => gpu)
  expect(byGpu.map(({ gpu, charged }) => [gpu, plain(charged)])).toEqual(
    ['A100-80GB', 'H100', 'RTX4090'].map((gpu) => [
      gpu,
      usdc((invoiced.get(gpu) ?? []).reduce((sum, invoice) => sum + invoice.total, 0n)),
    ]),
  )
  expect(byGpu.find(({ gpu }) => gpu === 'A100-80GB')?.hours).toBeGreaterThan(27n)
})

test('another rule changes what would have been earned, and leaves what was', async () => {
  const market = createRentals(world.store)
  for (const rental of rentals) await market.rent(rental)
  await replay(revenueByGpu(bySecond))
  const before = await sumsOf()
  await replay(standard)
  const h100 = await sumsOf("gpu = 'H100'")
  expect(await sumsOf("gpu <> 'H100' and charged <> under_rule")).toMatchObject({ rows: 0n })
  expect((await sumsOf())?.charged).toBe(before?.charged)
  expect(plain(h100?.under_rule)).toBe(usdc((2n * 2_409_001n * 9_999n) / 3_600n + (2_739_000n * 61n) / 3_600n))
  await replay(revenueByGpu(byStartedMinute))
  expect(plain((await sumsOf("gpu = 'RTX4090'"))?.under_rule)).toBe(usdc((340_000n * 60n) / 3_600n))
})

test('a period counts its own charges alone, though the rentals began before it; periods add up to the whole', async () => {
  const market = createRentals(world.store)
  await market.rent(rentals[0] as (typeof rentals)[0])
  await replay(standard)
  const whole = await sumsOf()
  const cut = '2026-01-01T01:00:00Z'
  await replay(standard, { to: cut })
  const before = await sumsOf()
  await replay(standard, { from: cut })
  const after = await sumsOf()
  expect(Number(before?.gpu_seconds)).toBe(2 * 600)
  expect(Number(before?.gpu_seconds) + Number(after?.gpu_seconds)).toBe(Number(whole?.gpu_seconds))
  const [sum] = await world.database.query<{ same: boolean }>(
    'spec',
    'select $1::numeric + $2::numeric = $3::numeric as same',
    [before?.under_rule, after?.under_rule, whole?.under_rule],
  )
  expect(sum?.same).toBe(true)
})
