import type { Commands } from '../commands/execute.ts'
import { type AggregateName, type EventOf, idOf } from '../domain/aggregates.ts'
import { isFailure } from '../domain/errors.ts'
import { inChunks } from '../infra/async/chunks.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { creditDeposit } from './credit-deposit.ts'
import { consumers, timerKeys, timersHandler } from './names.ts'
import { rentAGpu } from './rent-a-gpu.ts'
import { runSaga, type Saga } from './saga.ts'
import { settle } from './settle.ts'
import type { Schedule, Timers } from './timers.ts'

type AnySaga = Saga<AggregateName, EventOf<AggregateName>['type']>

/** Every saga of the platform. */
export const sagas = [rentAGpu, settle, creditDeposit] as unknown as readonly AnySaga[]

const sagasAtOnceMax = 8

type Dependencies = {
  readonly commands: Commands
  readonly now: () => string
  /** Sets the timers of a rental that has begun; may be called twice for one rental. */
  readonly activated: (rental: string, startedAt: string, endsAt: string) => Promise<void>
}

/** Runs what one event starts: the saga of that name, or the timers of a rental. */
const handle = async ({ commands, now, activated }: Dependencies, handler: string, id: string, revision: bigint) => {
  if (handler !== timersHandler) {
    const saga = sagas.find(({ name }) => name === handler)
    if (!saga) throw new Error(`There is no process ${handler}`)
    await runSaga({ commands, now }, saga, { id, revision })
    return
  }
  const { state } = await commands.load('rental', id, revision)
  if (state.status === 'active') await activated(id, state.startedAt, state.endsAt)
}

/** Returns the names of what starts at events of this type: sagas, and the timers of a rental. */
export const handlersOf = (type: string): readonly string[] => [
  ...sagas.filter(({ starts }) => starts.type === type).map(({ name }) => name),
  ...(type === 'RentalActivated' ? [timersHandler] : []),
]

/** Runs a handler again after an unexpected error. Throws when it meets an error again. */
export const retryHandler = (dependencies: Dependencies, { process, id, revision }: Timers['walk']): Promise<void> =>
  handle(dependencies, process, id, BigInt(revision))

/** Runs every saga to its end, from the log: also after a request that died half way. An event is delivered until its
 *  handlers have ended or wait in the task queue to be tried again, so one saga that cannot go on holds up no other.
 *  Resolves on abort. */
export const runSubscriber = ({
  bus,
  schedule,
  signal,
  ...dependencies
}: Dependencies & { readonly bus: Bus; readonly schedule: Schedule; readonly signal: AbortSignal }): Promise<void> => {
  const handleOrQueue = async (handler: string, id: string, revision: bigint): Promise<void> => {
    try {
      await handle(dependencies, handler, id, revision)
    } catch (error) {
      if (isFailure(error, 'DATABASE_UNAVAILABLE')) throw error
      const payload = { process: handler, id, revision: String(revision) }
      await schedule('walk', payload, { key: timerKeys.walk(handler, id, revision), runAt: dependencies.now() })
    }
  }
  const handleAll = async ({ stream, type, revision }: StoredEvent): Promise<void> => {
    for (const handler of handlersOf(type)) await handleOrQueue(handler, idOf(stream), revision)
  }
  return bus.consume({
    consumer: consumers.processes,
    filter: { types: [...sagas.map(({ starts }) => starts.type), 'RentalActivated'] },
    signal,
    // Different rentals and payments have nothing to do with each other: a few run side by side.
    handle: async ({ events }) => {
      await inChunks(events, sagasAtOnceMax, (some) => Promise.all(some.map(handleAll)))
    },
  })
}
