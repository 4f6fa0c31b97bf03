/** A process of a chaos run that runs a market with real commands: it lists, deposits, rents, submits jobs and returns.
 *  Each append and each answer is recorded. The workers meter and end what expires. */
import { type Actor, systemActor, userActor } from '../../commands/actor.ts'
import { type Commands, createCommands, requestEnvelope } from '../../commands/execute.ts'
import { submitJob } from '../../commands/submit-job.ts'
import type { AggregateName, CommandOf } from '../../domain/aggregates.ts'
import { isRefusal } from '../../domain/errors.ts'
import { money } from '../../domain/money.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { shareReader } from '../../infra/event-store/one-reader.ts'
import { postgresHeartbeats } from '../../infra/heartbeats/postgres.ts'
import { openPostgresTurns } from '../../infra/turns/postgres.ts'
import { endAndSettle } from '../../processes/end-rental.ts'
import { requestRental } from '../../processes/rent-a-gpu.ts'
import { below, createRandom, pick, type Random } from '../random.ts'
import { type Child, runChild, untilAnswered } from './child.ts'
import { openJournal } from './journal.ts'
import { createRecorder, recordedStore } from './recorder.ts'

const renters = 4
const poolSize = 6
const gpusPerListing = 6
const depositAmount = 200_000n
const secondsMax = 8
const prices = [1_800_000n, 3_600_000n, 7_200_000n]
const asset = 'USDC/6'

const now = () => new Date().toISOString()

type Market = {
  readonly child: Child
  readonly commands: Commands
  readonly heartbeats: ReturnType<typeof postgresHeartbeats>
  readonly random: Random
  readonly listings: readonly string[]
  readonly provider: string
}

/** Sends the same command until it is answered. A refusal is an answer. */
const send = <Name extends AggregateName>(
  commands: Commands,
  to: Name,
  id: string,
  command: CommandOf<Name>,
  actor: Actor = systemActor('chaos'),
) => {
  const commandId = crypto.randomUUID()
  const time = now()
  return untilAnswered(() => commands.execute(to, id, command, requestEnvelope(commandId, actor, time)))
}

const listSomething = async (commands: Commands, provider: string, name: string): Promise<readonly string[]> => {
  const owner = userActor(provider)
  await send(
    commands,
    'provider',
    provider,
    { type: 'RegisterProvider', wallet: provider, name, registeredAt: now() },
    owner,
  )
  const listings = prices.map(() => crypto.randomUUID())
  for (const [index, listing] of listings.entries()) {
    const pricePerGpuHour = money(prices[index] ?? 1n, asset)
    const machine = {
      gpu: 'H100',
      gpuCount: gpusPerListing,
      vramMib: 81_559,
      vcpus: 32,
      memoryMib: 65_536,
      region: 'FR',
    }
    const offer = { ...machine, provider, pricePerGpuHour, listedAt: now() }
    await send(commands, 'listing', listing, { type: 'ListGpus', ...offer }, owner)
  }
  return listings
}

/** Observes and finalizes a deposit, as the watcher does; the workers credit it. */
const deposit = async (commands: Commands, user: string): Promise<void> => {
  const payment = crypto.randomUUID()
  const sighting = { chainId: 31_337, transactionHash: `0x${payment}`, blockNumber: 1n, blockHash: '0xb' }
  const amount = money(depositAmount, asset)
  await send(commands, 'payment', payment, { type: 'ObserveDeposit', payment, user, amount, ...sighting })
  await send(commands, 'payment', payment, { type: 'FinalizeDeposit' })
}

/** Sends the commands of renter and scheduler for a job that succeeds. */
const runJob = async ({ commands }: Market, renter: string, rental: string): Promise<void> => {
  const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 64 }
  const request = { renter, rental, idempotencyKey: crypto.randomUUID(), ...program }
  const submitted = await untilAnswered(() => submitJob({ commands, now }, request))
  if (isRefusal(submitted)) return
  const { job } = submitted
  await send(commands, 'job', job, { type: 'StartJob', attempt: 1, cluster: 'chaos', startedAt: now() })
  const progress = { attempt: 1, percent: 50, message: 'half', reportedAt: now() }
  await send(commands, 'job', job, { type: 'ReportProgress', ...progress })
  await send(commands, 'job', job, { type: 'CompleteJob', attempt: 1, endedAt: now() })
}

const rentOnce = async (market: Market, renter: string): Promise<void> => {
  const { commands, heartbeats, random, listings, provider } = market
  const { signal } = market.child
  const terms = {
    renter,
    idempotencyKey: crypto.randomUUID(),
    listing: pick(random, listings),
    gpuCount: 1 + below(random, 2),
    seconds: BigInt(2 + below(random, secondsMax)),
    maxPricePerGpuHour: money(pick(random, prices), asset),
  }
  const answer = await untilAnswered(() => requestRental({ commands, now }, terms))
  if (isRefusal(answer)) return
  const { rental } = answer
  if (answer.outcome === 'rejected') {
    if (answer.code === 'INSUFFICIENT_FUNDS') await deposit(commands, renter)
    return
  }
  if (random() < 0.3) await runJob(market, renter, rental)
  if (random() < 0.1)
    await send(
      commands,
      'listing',
      terms.listing,
      { type: 'ChangePrice', pricePerGpuHour: money(pick(random, prices), asset) },
      userActor(provider),
    )
  await sleep(random() * 1_000, signal)
  // The others are ended by their timer.
  if (random() < 0.7)
    await untilAnswered(() => endAndSettle({ commands, heartbeats, now }, rental, 'returned', userActor(renter)))
}

await runChild(poolSize, async (child) => {
  const { settings, database, signal, count } = child
  const { name, life, folder, seed, perSecond } = settings
  // What an earlier life left without an answer is finished by the workers, from the log.
  const { journal, firstNumber } = await openJournal({ folder, writer: name, life, carry: false })
  const opened = shareReader(await child.openStore())
  const counted = {
    ...opened,
    append: async (append: Parameters<typeof opened.append>[0]) => {
      const answer = await opened.append(append)
      if (answer.outcome === 'appended' && !answer.repeated) count('events', append.events.length)
      return answer
    },
    appendToMany: async (appends: Parameters<typeof opened.appendToMany>[0]) => {
      const answer = await opened.appendToMany(appends)
      if (!('outcome' in answer) && answer.every(({ repeated }) => !repeated))
        count(
          'events',
          appends.reduce((sum, { events }) => sum + events.length, 0),
        )
      return answer
    },
  }
  const store = recordedStore(counted, createRecorder(journal, firstNumber))
  const turns = await openPostgresTurns({ database, log: child.log })
  const commands = createCommands({ store, turns })
  const provider = `0xp-${name}-${life}`
  const listings = await listSomething(commands, provider, name)
  const heartbeats = postgresHeartbeats(database)
  const market: Market = { child, commands, heartbeats, random: createRandom(seed), listings, provider }
  const rentAgainAndAgain = async (renter: string) => {
    await deposit(commands, renter)
    while (!signal.aborted) {
      await rentOnce(market, renter)
      const pauseMs = market.random() * 2 * ((renters * 1_000) / perSecond)
      await sleep(pauseMs, signal)
    }
  }
  await Promise.all(Array.from({ length: renters }, (_, number) => rentAgainAndAgain(`0xr-${name}-${life}-${number}`)))
  await turns.close()
  await opened.close()
  await journal.close()
})
