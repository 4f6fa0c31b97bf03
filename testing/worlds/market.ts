import { systemActor, userActor } from '../../commands/actor.ts'
import { type Commands, createCommands, mustExecute } from '../../commands/execute.ts'
import { derivedId, newId } from '../../commands/ids.ts'
import type { AggregateName, CommandOf } from '../../domain/aggregates.ts'
import { usdc } from '../../domain/money.testing.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { creditDeposit } from '../../processes/credit-deposit.ts'
import { runSaga } from '../../processes/saga.ts'

/** Creates a market in memory with its own clock, for specs: providers list, and renters deposit money. */
export const createMarket = (store: EventStore = createMemoryEventStore()) => {
  let time = Date.parse('2026-01-01T00:00:00.000Z')
  const now = () => new Date(time).toISOString()
  const commands: Commands = createCommands({ store })

  const send = async <Name extends AggregateName>(
    to: Name,
    id: string,
    command: CommandOf<Name>,
    actor = systemActor('test'),
  ) => {
    const commandId = newId()
    return mustExecute(
      await commands.execute(to, id, command, {
        commandId,
        correlationId: commandId,
        causationId: commandId,
        actor,
        time: now(),
      }),
    )
  }

  return {
    store,
    commands,
    now,
    pass: (seconds: number) => {
      time += seconds * 1000
    },
    list: async (
      listing: string,
      gpuCount: number,
      pricePerGpuHour = usdc(3_600_000n),
      provider = 'provider',
      gpu = 'H100',
    ) => {
      const offer = {
        provider,
        gpu,
        gpuCount,
        vramMib: 81_559,
        vcpus: 32,
        memoryMib: 65_536,
        region: 'FR',
        pricePerGpuHour,
      }
      await send('listing', listing, { type: 'ListGpus', listedAt: now(), ...offer }, userActor(provider))
    },
    deposit: async (user: string, amount: bigint) => {
      const payment = newId()
      const sighting = { chainId: 31337, transactionHash: derivedId(payment), blockNumber: 1n, blockHash: 'block' }
      await send('payment', payment, { type: 'ObserveDeposit', payment, user, amount: usdc(amount), ...sighting })
      await send('payment', payment, { type: 'FinalizeDeposit' })
      await runSaga({ commands, now }, creditDeposit, { id: payment, revision: 1n })
    },
    state: async <Name extends AggregateName>(name: Name, id: string) => (await commands.load(name, id)).state,
  }
}

/** Resolves to the sum over all postings in the store, per account of the chart. */
export const chartOf = async (store: EventStore): Promise<ReadonlyMap<string, bigint>> => {
  const sums = new Map<string, bigint>()
  for await (const { data } of store.readAll()) {
    const posting = (data as { posting?: { debit: string; credit: string; amount: { amount: string } } }).posting
    if (!posting) continue
    const amount = BigInt(posting.amount.amount)
    sums.set(posting.debit, (sums.get(posting.debit) ?? 0n) + amount)
    sums.set(posting.credit, (sums.get(posting.credit) ?? 0n) - amount)
  }
  return sums
}

/** Returns a store that does something around each append, to one stream or to several. */
export const withAppends = (
  store: EventStore,
  around: <Outcome>(append: () => Promise<Outcome>, streams: readonly string[]) => Promise<Outcome>,
): EventStore => ({
  ...store,
  append: (append) => around(() => store.append(append), [append.stream]),
  appendToMany: (appends) =>
    around(
      () => store.appendToMany(appends),
      appends.map(({ stream }) => stream),
    ),
})

/** Returns a store that appends to one stream at a time, as some engines do. */
export const oneByOne = (store: EventStore): EventStore => ({
  ...store,
  capabilities: { ...store.capabilities, appendToMany: false },
})

/** Returns a store that loses its connection at append number `at`, counted from 1: before it is stored, or after that
 *  and before the answer. Each later append is stored, and its answer is lost. */
export const breakingAt = (store: EventStore, at: number, when: 'before' | 'after'): EventStore => {
  let appends = 0
  return withAppends(store, async (append) => {
    appends++
    if (appends === at && when === 'before') throw new Error('connection lost')
    const answer = await append()
    if (appends >= at) throw new Error('connection lost')
    return answer
  })
}
