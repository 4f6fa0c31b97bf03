import { createCommands, type Load } from '../../commands/execute.ts'
import { idOf } from '../../domain/aggregates.ts'
import { valuesOf } from '../../domain/persistent-map.testing.ts'
import { isIn } from '../../domain/persistent-map.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { allProjections } from '../../projections/all.ts'
import { compareWithRebuild } from '../../projections/engine/verify.ts'
import { eventually } from '../eventually.ts'
import { chartOf } from './market.ts'

/** Resolves to what is wrong with a platform at rest, by its log and its tables: one sentence each, none when all is
 *  well. `running` returns whether an attempt of a job has a process. */
export const inconsistencies = async (
  store: EventStore,
  database: Database,
  running: (job: string, attempt: number) => boolean,
): Promise<readonly string[]> => {
  const load = loadOnce(createCommands({ store }).load)
  const found: string[] = []
  const ids = async (type: string) => {
    const streams: string[] = []
    for await (const { stream } of store.readAll({ types: [type] })) streams.push(idOf(stream))
    return streams
  }

  for (const id of await ids('RentalRequested')) {
    const { state: rental } = await load('rental', id)
    if (rental.status === 'none') continue
    if (rental.status === 'requested' || rental.status === 'ending' || rental.status === 'ended')
      found.push(`rental ${id} stands still, ${rental.status}`)
    const { state: listing } = await load('listing', rental.listing)
    const { state: account } = await load('account', rental.renter)
    const reserved = listing.status !== 'none' && isIn(listing.reservations, id)
    const held = account.status === 'open' && isIn(account.holds, id)
    const needed = rental.status === 'active' || rental.status === 'ending'
    if (reserved !== needed)
      found.push(`rental ${id} is ${rental.status}, its GPUs are ${reserved ? '' : 'not '}reserved`)
    if (held !== needed) found.push(`rental ${id} is ${rental.status}, its money is ${held ? '' : 'not '}held`)
  }
  for (const id of await ids('GpusListed')) {
    const { state } = await load('listing', id)
    if (state.status === 'none') continue
    const reserved = valuesOf(state.reservations).reduce((sum, gpus) => sum + gpus, 0)
    if (reserved > state.gpuCount) found.push(`listing ${id} has ${state.gpuCount} GPUs and ${reserved} reserved`)
  }
  for (const id of await ids('JobSubmitted')) {
    const { state } = await load('job', id)
    if (state.status === 'running' && !running(id, state.attempt)) found.push(`job ${id} is running and has no process`)
    if (state.status === 'queued') found.push(`job ${id} waits`)
  }
  const final = await ids('DepositFinalized')
  const credited = await ids('DepositCredited')
  if (credited.length !== final.length)
    found.push(`${final.length} deposits are final, ${credited.length} are credited`)
  const chart = await chartOf(store)
  const sum = [...chart.values()].reduce((total, amount) => total + amount, 0n)
  if (sum !== 0n) found.push(`the ledger's sum is ${sum}`)
  for (const [account, amount] of chart)
    if (account.startsWith('transit:') && amount !== 0n) found.push(`${account} keeps ${amount}`)
  for (const [account, amount] of chart)
    if (account.startsWith('user:') && amount > 0n) found.push(`${account} is overdrawn by ${amount}`)
  const differences = await compareWithRebuild({ store, database, projections: allProjections })
  for (const difference of differences)
    found.push(
      `read model: ${JSON.stringify(difference, (_, value) => (typeof value === 'bigint' ? String(value) : value))}`,
    )
  return found
}

/** Waits until the platform is at rest and consistent. Resolves to what still is not after `timeoutMs`, one sentence
 *  each. */
export const inconsistenciesAtRest = async (
  look: () => Promise<readonly string[]>,
  timeoutMs?: number,
): Promise<readonly string[]> => {
  let found: readonly string[] = ['nothing was looked at']
  const isConsistent = async () => {
    found = await look()
    return found.length === 0
  }
  await eventually('everything is at rest', isConsistent, timeoutMs).catch(() => undefined)
  return found
}

/** Reads each aggregate once: many rentals share a listing and an account. */
const loadOnce = (load: Load): Load => {
  const known = new Map<string, Promise<unknown>>()
  return (name, id) => {
    const key = `${name}-${id}`
    const before = known.get(key) ?? load(name, id)
    known.set(key, before)
    return before as ReturnType<typeof load<typeof name>>
  }
}
