import type { Commands, Current } from '../commands/execute.ts'
import { type AggregateName, type EventOf, idOf } from '../domain/aggregates.ts'
import { isFailure } from '../domain/errors.ts'
import { inChunks } from '../infra/async/chunks.ts'
import { createKeyedRunner } from '../infra/async/keyed-queue.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { creditDeposit } from './credit-deposit.ts'
import { closeJobHandler, completeEndHandler, consumers, timerKeys, timersHandler } from './names.ts'
import { rentAGpu } from './rent-a-gpu.ts'
import { runSagaOnce, type Saga } from './saga.ts'
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
  /** Removes the timers of a rental that has ended; may be called twice for one rental. */
  readonly ended: (rental: string) => Promise<void>
  /** Records in its rental that a job has ended; may be called twice. */
  readonly jobEnded: (job: string) => Promise<void>
  /** Goes on with a rental that is to end when its jobs have ended; may be called twice. */
  readonly endRequested: (rental: string) => Promise<void>
}

/** The events that start something other than a saga. */
const otherHandlers: Readonly<Record<string, string>> = {
  RentalActivated: timersHandler,
  RentalEnded: timersHandler,
  RentalEndRequested: completeEndHandler,
  JobSucceeded: closeJobHandler,
  JobFailed: closeJobHandler,
  JobStopped: closeJobHandler,
}

/** Runs what one event starts: the saga of that name, the timers of a rental, or a part of its end. A retry comes later
 *  than the events that follow, so it takes nothing for granted. */
const handle = async (
  dependencies: Dependencies,
  handler: string,
  id: string,
  revision: bigint,
  { isRetry }: { readonly isRetry: boolean },
) => {
  const { commands, now, activated } = dependencies
  if (handler === closeJobHandler) return dependencies.jobEnded(id)
  if (handler === completeEndHandler) return dependencies.endRequested(id)
  if (handler !== timersHandler) {
    const saga = sagas.find(({ name }) => name === handler)
    if (!saga) throw new Error(`There is no process ${handler}`)
    // Mostly by the request itself, in this process or another.
    if (!isRetry && saga.isDone?.((await commands.known(saga.starts.aggregate, id, revision)).state)) return
    await runSagaOnce({ commands, now }, saga, { id, revision })
    return
  }
  const before = await commands.known('rental', id, revision)
  if (isOver(before)) return dependencies.ended(id)
  if (before.state.status === 'active') await activated(id, before.state.startedAt, before.state.endsAt)
  // It may have ended while its timers were set, and those that were there had been removed before.
  const look = isRetry ? commands.current : commands.known
  if (isOver(await look('rental', id))) await dependencies.ended(id)
}

const isOver = ({ state }: Current<'rental'>): boolean => state.status === 'ended' || state.status === 'settled'

/** Returns the names of what starts at events of this type: sagas, the timers of a rental, and parts of its end. */
export const handlersOf = (type: string): readonly string[] => [
  ...sagas.filter(({ starts }) => starts.type === type).map(({ name }) => name),
  ...(otherHandlers[type] === undefined ? [] : [otherHandlers[type]]),
]

/** Runs a handler again after an unexpected error. Throws when it meets an error again. */
export const retryHandler = (dependencies: Dependencies, { process, id, revision }: Timers['walk']): Promise<void> =>
  handle(dependencies, process, id, BigInt(revision), { isRetry: true })

/** Runs every saga to its end, from the log: also after a request that died half way. An event is delivered until its
 *  handlers have ended or wait in the task queue to be tried again, so one saga that cannot go on holds up no other.
 *  Resolves on abort. */
export const runSubscriber = ({
  bus,
  schedule,
  signal,
  ...dependencies
}: Dependencies & { readonly bus: Bus; readonly schedule: Schedule; readonly signal: AbortSignal }): Promise<void> => {
  const inOrder = createKeyedRunner()
  const handleOrQueue = async (handler: string, id: string, revision: bigint): Promise<void> => {
    // The end of a rental that is not known here comes from the log: its timers are removed then, and not before.
    const work = () => handle(dependencies, handler, id, revision, { isRetry: false })
    try {
      await (handler === timersHandler ? inOrder(id, work) : work())
    } catch (error) {
      if (isFailure(error, 'DATABASE_UNAVAILABLE') || isFailure(error, 'LOG_REPLACED')) throw error
      const payload = { process: handler, id, revision: String(revision) }
      await schedule('walk', payload, { key: timerKeys.walk(handler, id, revision), runAt: dependencies.now() })
    }
  }
  const handleAll = async ({ stream, type, revision }: StoredEvent): Promise<void> => {
    for (const handler of handlersOf(type)) await handleOrQueue(handler, idOf(stream), revision)
  }
  return bus.consume({
    consumer: consumers.processes,
    filter: { types: [...new Set([...sagas.map(({ starts }) => starts.type), ...Object.keys(otherHandlers)])] },
    signal,
    // Different rentals and payments have nothing to do with each other: a few run side by side.
    handle: async ({ events }) => {
      await inChunks(events, sagasAtOnceMax, (some) => Promise.all(some.map(handleAll)))
    },
  })
}
