import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { systemActor, userActor } from '../../commands/actor.ts'
import { createCommands, mustExecute, requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import { money } from '../../domain/money.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { withStore } from '../connect.ts'
import type { Row } from '../rows.ts'
import { median } from '../statistics.ts'
import type { Bench, World } from '../world.ts'
import { callsOf, createCounter, doneBetween, kindNames, perUnit, settleMs } from './counts.ts'
import { type Renter, signIn, startPlatform } from './platform.ts'

type Load = { readonly renters: number; readonly cycles: number; readonly warmUp: number }
const loads: readonly Load[] = [
  { renters: 1, cycles: 300, warmUp: 100 },
  { renters: 16, cycles: 60, warmUp: 15 },
]
const loadsQuick: readonly Load[] = [{ renters: 2, cycles: 2, warmUp: 1 }]
const idleMsQuick = 200
const statementsShown = 16
const renterUnits = 1_000_000_000_000n

/** What one rental with its return may take, by the number of renters at once. */
const targets: Readonly<Record<string, readonly [one: number, sixteen: number]>> = {
  commits: [30, 8],
  'range reads of the log': [10, 1],
  'stream reads': [4, 4],
  'checkpoint writes': [10, 2],
  'CPU of Node and PostgreSQL': [25, 4],
  'rent p50': [10, 30],
  'return p50': [10, 30],
}

export const rent: Bench = {
  name: 'rent',
  about: 'one rental with its return through GraphQL, on a whole platform: what it asks of the database, and its CPU',
  run: async (world) => {
    const server = await world.countingServer()
    const url = await server.createDatabase()
    const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-rent-'))
    await chmod(folder, 0o755)
    try {
      const { listings, wallets } = await prepare(url, Math.max(...loads.map(({ renters }) => renters)))
      const platform = await startPlatform(url, folder)
      try {
        await measure(world, { url, listings, wallets, platform })
      } finally {
        await platform.close()
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
      await server.dropDatabase(url)
    }
  },
}

/** Writes a provider with a listing for each renter, and renters with money into the log, as the platform would. */
const prepare = (url: string, renters: number) =>
  withStore(url, async (store) => {
    const { execute } = createCommands({ store })
    const time = new Date().toISOString()
    const wallets = Array.from({ length: renters }, () => privateKeyToAccount(generatePrivateKey()))
    const provider = privateKeyToAccount(generatePrivateKey()).address.toLowerCase()
    const envelope = requestEnvelope(newId(), userActor(provider), time)
    mustExecute(
      await execute(
        'provider',
        provider,
        { type: 'RegisterProvider', wallet: provider, name: 'Bench', registeredAt: time },
        envelope,
      ),
    )
    const listings = wallets.map(() => newId())
    const size = { gpuCount: 64, vramMib: 81_559, vcpus: 64, memoryMib: 262_144 }
    const offer = { gpu: 'H100', ...size, region: 'NO', pricePerGpuHour: money(1_000_000n, 'USDC/6') }
    const list = { type: 'ListGpus', listedAt: time, provider, ...offer } as const
    for (const listing of listings)
      mustExecute(await execute('listing', listing, list, requestEnvelope(newId(), userActor(provider), time)))
    for (const wallet of wallets) {
      const user = wallet.address.toLowerCase()
      const command = { type: 'CreditDeposit', user, payment: newId(), amount: money(renterUnits, 'USDC/6') } as const
      mustExecute(
        await execute('account', user, command, requestEnvelope(newId(), systemActor('credit-deposit'), time)),
      )
    }
    return { listings, wallets }
  })

type Measured = {
  readonly url: string
  readonly listings: readonly string[]
  readonly wallets: readonly PrivateKeyAccount[]
  readonly platform: Awaited<ReturnType<typeof startPlatform>>
}

const measure = (world: World, { url, listings, wallets, platform }: Measured): Promise<void> =>
  withStore(url, async (_store, database) => {
    const { quick, progress, signal, rounds } = world
    const counter = await createCounter(database, platform.pid)
    const renters = await Promise.all(wallets.map((wallet) => signIn(platform.url, wallet)))
    const idleMs = quick ? idleMsQuick : settleMs
    /** Resolves to what was done until the platform was idle again. */
    const during = async (work: () => Promise<unknown>) => {
      const before = await counter.read()
      await work()
      await sleep(idleMs, signal)
      return doneBetween(before, await counter.read())
    }
    for (const load of quick ? loadsQuick : loads) {
      const samples = new Map<string, number[]>()
      const add = (name: string, value: number) => samples.set(name, [...(samples.get(name) ?? []), value])
      progress(`rent, ${load.renters} at once: warming up`)
      await cyclesOf(renters.slice(0, load.renters), listings, load.warmUp, signal)
      await sleep(idleMs, signal)
      for (let round = 1; round <= rounds; round += 1) {
        progress(`rent, ${load.renters} at once: round ${round} of ${rounds}`)
        const idle = await during(async () => undefined)
        let times: Times = { rent: [], giveBack: [] }
        const done = await during(async () => {
          times = await cyclesOf(renters.slice(0, load.renters), listings, load.cycles, signal)
        })
        signal.throwIfAborted()
        const { commits, calls, cpuMs } = perUnit(done, idle, load.renters * load.cycles)
        add('commits', commits)
        if (calls) for (const kind of kindNames) add(kind, callsOf(calls, kind))
        add('CPU of Node and PostgreSQL', cpuMs)
        add('rent p50', median(times.rent))
        add('return p50', median(times.giveBack))
        if (calls && round === rounds) for (const line of profileOf(calls)) progress(line)
      }
      if (!counter.hasCalls) progress('rent: this server does not count statements (pg_stat_statements is not loaded)')
      for (const [name, ours] of samples) world.report(rowOf(name, load.renters, ours))
    }
  })

type Times = { readonly rent: number[]; readonly giveBack: number[] }

/** Lets the renters rent and return so many times, each one after the other. Resolves to the times in milliseconds. */
const cyclesOf = async (
  renters: readonly Renter[],
  listings: readonly string[],
  cycles: number,
  signal: AbortSignal,
): Promise<Times> => {
  const times: Times = { rent: [], giveBack: [] }
  const cycle = async ({ rent, giveBack }: Renter, index: number) => {
    for (let left = cycles; left > 0 && !signal.aborted; left -= 1) {
      const from = performance.now()
      const rental = await rent(listings[index] ?? '')
      const between = performance.now()
      await giveBack(rental)
      times.rent.push(between - from)
      times.giveBack.push(performance.now() - between)
    }
  }
  await Promise.all(renters.map(cycle))
  return times
}

const rowOf = (name: string, renters: number, ours: number[]): Row => {
  const goals = targets[name]
  const goal = renters === 1 ? goals?.[0] : renters === 16 ? goals?.[1] : undefined
  const unit = /p50|CPU/.test(name) ? 'ms' : 'a rental'
  return {
    bench: `rent, ${name}`,
    callers: renters,
    unit,
    better: 'less',
    // A count may be zero.
    ours: ours.map((value) => Math.max(0.001, value)),
    targets: goal === undefined ? {} : { ours: goal },
  }
}

/** Returns the statements that one rental needs most often, a line each. */
const profileOf = (calls: ReadonlyMap<string, number>): string[] =>
  [...calls]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, statementsShown)
    .filter(([, count]) => count >= 0.05)
    .map(([text, count]) => `  ${count.toFixed(2).padStart(7)}  ${text.replace(/\s+/g, ' ').trim().slice(0, 110)}`)
