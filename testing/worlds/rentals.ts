// Rentals by the real commands and processes, on any store: the history on which specs try the tools of analysts.
import { systemActor, userActor } from '../../commands/actor.ts'
import { mustExecute, requestEnvelope } from '../../commands/execute.ts'
import { derivedId, newId } from '../../commands/ids.ts'
import { isRefusal } from '../../domain/errors.ts'
import { usdc } from '../../domain/money.testing.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { endRental } from '../../processes/end-rental.ts'
import { meterPeriod } from '../../processes/meter.ts'
import { requestRental } from '../../processes/rent-a-gpu.ts'
import { runSaga } from '../../processes/saga.ts'
import { settle } from '../../processes/settle.ts'
import { steadyHeartbeats } from './heartbeats.ts'
import { createMarket } from './market.ts'

/** `runs` are the seconds after which it was metered, the last one when it was given back; `open` leaves it running. */
export type RentedOut = {
  readonly renter: number
  readonly gpu: string
  readonly gpuCount: number
  readonly price: bigint
  readonly runs: readonly number[]
  readonly open?: boolean
  /** What a program of the renter prints, which is personal. */
  readonly printed?: string
}

const secondsMax = 200_000
const noop = async () => undefined

/** Returns an address as wallets have it. */
export const walletOf = (name: string): string => `0x${Buffer.from(name).toString('hex').padStart(40, '0')}`

/** Creates a market whose clock only the caller moves. */
export const createRentals = (store: EventStore) => {
  const market = createMarket(store)
  const { commands, now, pass } = market
  const provider = walletOf('provider')

  const begin = async () => {
    const wallet = { wallet: provider, name: 'Ada’s Garage', registeredAt: now() }
    const envelope = requestEnvelope(newId(), userActor(provider), now())
    mustExecute(await commands.execute('provider', provider, { type: 'RegisterProvider', ...wallet }, envelope))
  }

  const list = async (gpu: string, price: bigint): Promise<string> => {
    const listing = derivedId('listing', gpu, String(price))
    if ((await commands.load('listing', listing)).state.status === 'none') {
      const machine = { vramMib: 81_559, vcpus: 32, memoryMib: 65_536, region: 'FR' }
      const offer = { provider, gpu, gpuCount: 1_000, pricePerGpuHour: usdc(price), listedAt: now(), ...machine }
      const envelope = requestEnvelope(newId(), userActor(provider), now())
      mustExecute(await commands.execute('listing', listing, { type: 'ListGpus', ...offer }, envelope))
    }
    return listing
  }

  const rent = async ({ renter: number, gpu, gpuCount, price, runs, open, printed }: RentedOut): Promise<string> => {
    const renter = walletOf(`renter ${number}`)
    const listing = await list(gpu, price)
    await market.deposit(renter, (price * BigInt(gpuCount * secondsMax)) / 3600n + 1n)
    const request = { renter, listing, gpuCount, seconds: BigInt(secondsMax), maxPricePerGpuHour: usdc(price) }
    const rented = await requestRental(market, { ...request, idempotencyKey: newId() })
    if (isRefusal(rented) || rented.outcome !== 'active') throw new Error(`not rented: ${JSON.stringify(rented)}`)
    const { rental } = rented
    if (printed !== undefined) await runJob(rental, renter, printed)
    const meter = { ...market, heartbeats: steadyHeartbeats(), schedule: noop, chargePeriodSeconds: 300 }
    let before = 0
    for (const [index, run] of runs.entries()) {
      pass(run - before)
      before = run
      if (open || index < runs.length - 1) await meterPeriod(meter, { rental, period: index + 1 })
    }
    if (open) return rental
    await endRental(meter, rental, 'returned', userActor(renter))
    const { history } = await commands.load('rental', rental)
    await runSaga(market, settle, { id: rental, revision: history.at(-1)?.revision ?? 0n })
    return rental
  }

  const runJob = async (rental: string, renter: string, printed: string) => {
    const program = {
      command: ['echo', printed],
      files: [{ path: 'said.txt', content: printed }],
      environment: { SAID: printed },
    }
    const limits = { timeoutSeconds: 60, cpuCores: 1, memoryMib: 64 }
    const job = newId()
    const send = async (command: Parameters<typeof commands.execute<'job'>>[2]) =>
      mustExecute(await commands.execute('job', job, command, requestEnvelope(newId(), systemActor('spec'), now())))
    // Not admitted by the rental, so that it ends at once while the job runs.
    const { first } = await commands.current('rental', rental)
    const envelope = requestEnvelope(newId(), userActor(renter), now(), first?.correlationId)
    const submit = { type: 'SubmitJob', rental, renter, submittedAt: now(), ...program, ...limits } as const
    mustExecute(await commands.execute('job', job, submit, envelope))
    await send({ type: 'StartJob', attempt: 1, cluster: 'process', startedAt: now() })
    await send({ type: 'ReportProgress', attempt: 1, percent: 50, message: printed, reportedAt: now() })
  }

  return { ...market, provider, begin, rent }
}
