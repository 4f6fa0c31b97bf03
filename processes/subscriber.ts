import type { Commands } from '../commands/execute.ts'
import { type AggregateName, type EventOf, idOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { creditDeposit } from './credit-deposit.ts'
import { rentAGpu } from './rent-a-gpu.ts'
import { type Process, walk } from './saga.ts'
import { settle } from './settle.ts'
import type { Schedule, Timers } from './timers.ts'

type AnyProcess = Process<AggregateName, EventOf<AggregateName>['type']>

/** Every process of the platform. */
export const processes = [rentAGpu, settle, creditDeposit] as unknown as readonly AnyProcess[]

const walksAtOnceMax = 8

const setTimers = 'set timers'

type Walker = {
  readonly commands: Commands
  readonly now: () => string
  /** Hears of each rental that has begun, to set its timers; may hear of one twice. */
  readonly activated: (rental: string, startedAt: string, endsAt: string) => Promise<void>
}

/** What follows from one event: the walk that starts there, or the timers of a rental. */
const follow = async ({ commands, now, activated }: Walker, name: string, id: string, revision: bigint) => {
  if (name !== setTimers) {
    const process = processes.find((known) => known.name === name)
    if (!process) throw new Error(`There is no process ${name}`)
    await walk({ commands, now }, process, { id, revision })
    return
  }
  const { state } = await commands.load('rental', id, revision)
  if (state.status === 'active') await activated(id, state.startedAt, state.endsAt)
}

/** What starts at events of this type, by name: processes, and timers. */
export const followersOf = (type: string): readonly string[] => [
  ...processes.filter(({ starts }) => starts.type === type).map(({ name }) => name),
  ...(type === 'RentalActivated' ? [setTimers] : []),
]

/** Tries again what met an unexpected error. Throws when it meets one again. */
export const followAgain = async (walker: Walker, { process, id, revision }: Timers['walk']): Promise<void> => {
  await follow(walker, process, id, BigInt(revision))
}

/** Walks every process to its end, from the log: also those whose request died on the way. Each event is handed over until
 *  its walk has ended or stands in the queue to be tried again, so that one walk that cannot go on holds up no other.
 *  Resolves on abort. */
export const runProcesses = ({
  bus,
  schedule,
  signal,
  ...walker
}: Walker & { readonly bus: Bus; readonly schedule: Schedule; readonly signal: AbortSignal }): Promise<void> => {
  const followOrQueue = async (process: string, id: string, revision: bigint): Promise<void> => {
    try {
      await follow(walker, process, id, revision)
    } catch (error) {
      if (error instanceof Failure && error.code === 'DATABASE_UNAVAILABLE') throw error
      const payload = { process, id, revision: String(revision) }
      await schedule('walk', payload, { key: `walk:${process}:${id}:${revision}`, runAt: walker.now() })
    }
  }
  const handle = async ({ stream, type, revision }: StoredEvent): Promise<void> => {
    for (const name of followersOf(type)) await followOrQueue(name, idOf(stream), revision)
  }
  return bus.consume({
    consumer: 'processes',
    filter: { types: [...processes.map(({ starts }) => starts.type), 'RentalActivated'] },
    signal,
    // Different rentals and payments have nothing to do with each other: a few walk side by side.
    handle: async ({ events }) => {
      for (let first = 0; first < events.length; first += walksAtOnceMax)
        await Promise.all(events.slice(first, first + walksAtOnceMax).map(handle))
    },
  })
}
