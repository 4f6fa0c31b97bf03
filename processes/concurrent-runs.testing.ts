import type fc from 'fast-check'
import { type Commands, createCommands } from '../commands/execute.ts'
import { type AggregateName, idOf } from '../domain/aggregates.ts'
import { Failure, refuse } from '../domain/errors.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { createMarket } from '../testing/worlds/market.ts'
import { runSaga } from './saga.ts'
import { handlersOf, sagas } from './subscriber.ts'

export type Market = ReturnType<typeof createMarket>

/** What can happen to a command besides its answer. `beaten`: other processes were faster each time. `away`: the
 *  database is, before the events are stored or after that. `dies`: the process does, and sends no command after it. */
export const faults = ['beaten', 'away before', 'away after', 'dies before', 'dies after'] as const
export type Fault = (typeof faults)[number]

/** Which command of a process, counted from 0, meets which fault. */
export type Faults = ReadonlyMap<number, Fault>

/** Makes the commands of a process of its own, with its own cache, that meet faults. */
export const faulty = (store: EventStore, planned: Faults): Commands => {
  const commands = createCommands({ store })
  let sent = 0
  let isDead = false
  const away = () => new Failure('DATABASE_UNAVAILABLE')
  return {
    ...commands,
    execute: async (...asked) => {
      if (isDead) throw away()
      const fault = planned.get(sent++)
      if (fault === 'beaten') return refuse('CONFLICT_UNRESOLVED')
      if (fault === 'dies before' || fault === 'dies after') isDead = true
      if (fault === 'away before' || fault === 'dies before') throw away()
      const answer = await commands.execute(...asked)
      if (fault === 'away after' || fault === 'dies after') throw away()
      return answer
    },
    executeTogether: async (steps) => {
      if (isDead) throw away()
      const fault = planned.get(sent)
      // The command alone is beaten then.
      if (fault === 'beaten') return []
      if (fault !== undefined) sent++
      if (fault === 'dies before' || fault === 'dies after') isDead = true
      if (fault === 'away before' || fault === 'dies before') throw away()
      const answers = await commands.executeTogether(steps)
      if (fault !== undefined) throw away()
      if (answers.length > 0) sent++
      return answers
    },
  }
}

/** Returns the store with appends in an order that the scheduler chooses. */
export const shuffled = (store: EventStore, scheduler: fc.Scheduler): EventStore => ({
  ...store,
  append: scheduler.scheduleFunction(store.append),
  appendToMany: scheduler.scheduleFunction(store.appendToMany),
})

/** Runs every saga whose trigger is in the log, as the durable subscription does: again until it meets no error. */
export const runAll = async (world: Market, process: Pick<Market, 'commands' | 'now'>): Promise<void> => {
  for await (const { stream, type, revision } of world.store.readAll())
    for (const handler of handlersOf(type)) {
      const saga = sagas.find(({ name }) => name === handler)
      if (!saga) continue
      let tries = 0
      for (let isDone = false; !isDone; ) {
        isDone = await runSaga(process, saga, { id: idOf(stream), revision }).then(
          () => true,
          (error: unknown) => {
            if (++tries > 20) throw error
            return false
          },
        )
      }
    }
}

/** Goes through the log and throws where a listing has leased more GPUs than it has, where a rental is active without
 *  its reservation or its hold, or where a rental began after its deadline. */
export const checkLeases = async ({ store }: Market): Promise<void> => {
  const gpus = new Map<string, number>()
  const reserved = new Map<string, { readonly listing: string; readonly gpuCount: number }>()
  const held = new Set<string>()
  const requestedAt = new Map<string, string>()
  for await (const { stream, type, data } of store.readAll()) {
    const fields = data as { rental: string; gpuCount: number; requestedAt: string; startedAt: string }
    const id = idOf(stream)
    if (type === 'GpusListed') gpus.set(id, fields.gpuCount)
    if (type === 'CapacityReserved') reserved.set(fields.rental, { listing: id, gpuCount: fields.gpuCount })
    if (type === 'CapacityFreed') reserved.delete(fields.rental)
    if (type === 'FundsHeld') held.add(fields.rental)
    if (type === 'HoldCaptured' || type === 'HoldReleased') held.delete(fields.rental)
    if (type === 'RentalRequested') requestedAt.set(id, fields.requestedAt)
    if (type === 'RentalActivated') {
      if (!reserved.has(id) || !held.has(id)) throw new Error(`Rental ${id} is active without its GPUs or its money`)
      const sinceMs = Date.parse(fields.startedAt) - Date.parse(requestedAt.get(id) ?? '')
      if (sinceMs > 30_000) throw new Error(`Rental ${id} began ${sinceMs} ms after its request`)
    }
    for (const [listing, count] of gpus) {
      const leased = [...reserved.values()].filter((lease) => lease.listing === listing)
      const sum = leased.reduce((total, { gpuCount }) => total + gpuCount, 0)
      if (sum > count) throw new Error(`Listing ${listing} has leased ${sum} of ${count} GPUs`)
    }
  }
}

/** Resolves to the ids of all aggregates of a kind. */
export const idsOf = async ({ store }: Market, name: AggregateName): Promise<readonly string[]> => {
  const found = new Set<string>()
  for await (const { stream } of store.readAll({ streamPrefix: `${name}-` })) found.add(idOf(stream))
  return [...found]
}
