import { logBus } from '../../infra/bus/log.ts'
import { creditDeposit } from '../../processes/credit-deposit.ts'
import { rentAGpu } from '../../processes/rent-a-gpu.ts'
import { settle } from '../../processes/settle.ts'
import { allProjections } from '../../projections/all.ts'
import { followProjections } from '../../projections/engine/start.ts'
import { eventually } from '../eventually.ts'
import type { Fleet } from './fleet.ts'
import { leftBehind } from './proof-read-models.ts'
import { lastReceived, receivedFile } from './received.ts'
import type { World } from './world.ts'

const readyMsMax = 60_000
const nodesMsMax = 240_000
const stopMsMax = 60_000
/** Rentals that were left behind end by their timers, and failed tasks are retried with growing pauses. */
const restMsMax = 180_000
const catchUpMsMax = 300_000

const sagaTypes = [rentAGpu, settle, creditDeposit].map(({ starts }) => starts.type)

/** Lets everything that was begun finish, and stops it: first the writers, then the workers, then the readers. Throws,
 *  naming what does not finish. */
export const comeToRest = async (world: World, fleet: Fleet, tails: readonly string[]): Promise<void> => {
  const { database, store, nodes, log, folders } = world
  const bus = logBus({ store, database, log })
  const projections = followProjections({ projections: allProjections, store, database })
  await database.waitUntilReady(readyMsMax)
  // A former leader may end itself even now, to truncate its log.
  await nodes?.untilAllServe(nodesMsMax)
  await fleet.stop('appender', stopMsMax)
  await fleet.stop('trader', stopMsMax)
  await projections.waitFor(await store.head(), catchUpMsMax)

  let left: readonly string[] = []
  const atRest = async () => {
    const head = await store.head()
    // The saved position may be below events that start no saga.
    const [last] = await Array.fromAsync(store.readAll({ direction: 'backwards', types: sagaTypes, limit: 1 }))
    const reached = await bus.position('processes')
    if (last && (reached === undefined || reached < last.position)) {
      left = [`the sagas have reached ${reached}, and ${last.type} of ${last.stream} lies at ${last.position}`]
      return false
    }
    await projections.waitFor(head, catchUpMsMax)
    left = [...(await leftBehind(database)), ...(await retriedSagas(world))]
    return left.length === 0 && (await store.head()) === head
  }
  await eventually('the market has finished', atRest, restMsMax).catch(() => {
    throw new Error(`the market did not finish: ${left.slice(0, 5).join('; ')}`)
  })
  await fleet.stop('worker', stopMsMax)

  const head = await store.head()
  await projections.waitFor(head, catchUpMsMax)
  await fleet.stop('projector', stopMsMax)
  for (const tail of tails)
    await eventually(
      `${tail} sees ${head}`,
      () => (lastReceived(receivedFile(folders.journals, tail))?.split(' ')[0] ?? store.start) >= head,
      catchUpMsMax,
    )
  await fleet.stop('tail', stopMsMax)
}

/** Resolves to the sagas that failed and wait for a retry. */
const retriedSagas = async ({ database }: World): Promise<readonly string[]> => {
  const statement =
    "select key || ' waits, ' || coalesce(last_error, '') as sentence from jobs.jobs where task_identifier = 'walk'"
  return (await database.query<{ sentence: string }>('chaos.walks', statement)).map(({ sentence }) => sentence)
}
