/** A process of a chaos run that does what the platform's worker does: it runs sagas to their end, from the log, and
 *  fires timers. */
import { systemActor } from '../../commands/actor.ts'
import { createCommands, requestEnvelope } from '../../commands/execute.ts'
import { derivedId } from '../../commands/ids.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { logBus } from '../../infra/bus/log.ts'
import { shareReader } from '../../infra/event-store/one-reader.ts'
import { postgresHeartbeats } from '../../infra/heartbeats/postgres.ts'
import { startTaskQueue, type TaskHandler } from '../../infra/task-queue.ts'
import { openPostgresTurns } from '../../infra/turns/postgres.ts'
import { completeEnd, expireRental, jobEnded } from '../../processes/end-rental.ts'
import { meterPeriod, startMeter, stopMeter } from '../../processes/meter.ts'
import { retryHandler, runSubscriber } from '../../processes/subscriber.ts'
import type { Schedule, TimerHandlers } from '../../processes/timers.ts'
import { runChild, untilAnswered } from './child.ts'
import { openJournal } from './journal.ts'
import { createRecorder, recordedStore } from './recorder.ts'

const poolSize = 6
const timersAtOnceMax = 3
const chargePeriodSeconds = 1
const beatEveryMs = 1_000

const now = () => new Date().toISOString()

await runChild(poolSize, async ({ settings, database, log, signal, count, openStore }) => {
  const { name, life, folder, url } = settings
  const { journal, firstNumber } = await openJournal({ folder, writer: name, life, carry: false })
  const opened = shareReader(await openStore())
  const store = recordedStore(opened, createRecorder(journal, firstNumber))
  const turns = await openPostgresTurns({ database, log })
  const commands = createCommands({ store, turns })
  const heartbeats = postgresHeartbeats(database)
  const schedule: Schedule = (timer, payload, { key, runAt }) =>
    jobs.schedule(timer, payload, { key, runAt: new Date(runAt) })
  const meter = { commands, heartbeats, schedule, now, chargePeriodSeconds }
  /** Reports that the jobs of a rental are gone, as their cluster does when they were asked to stop. */
  const confirmStops = async (rental: string): Promise<void> => {
    const { state } = await commands.current('rental', rental)
    if (state.status !== 'ending') return
    for (const job of state.openJobs.keys()) {
      const { state: running } = await commands.current('job', job)
      if (running.status !== 'running') continue
      const envelope = requestEnvelope(derivedId('confirm stop', job), systemActor('chaos'), now())
      await commands.execute('job', job, { type: 'ConfirmStop', attempt: running.attempt, endedAt: now() }, envelope)
    }
  }
  const walker = {
    commands,
    now,
    ended: (rental: string) => stopMeter({ cancel: (key) => jobs.cancel(key) }, rental),
    activated: (rental: string, startedAt: string, endsAt: string) => startMeter(meter, rental, startedAt, endsAt),
    jobEnded: (job: string) => jobEnded(meter, job),
    endRequested: async (rental: string) => {
      await completeEnd(meter, rental)
      await confirmStops(rental)
    },
  }
  const handlers: TimerHandlers = {
    meter: async (timer) => {
      await meterPeriod(meter, timer)
      count('metered')
    },
    expire: async ({ rental }) => {
      await expireRental(meter, rental)
      count('expired')
    },
    walk: (timer) => retryHandler(walker, timer),
  }
  const jobs = await untilAnswered(() =>
    startTaskQueue({
      url,
      database,
      log,
      handlers: handlers as Record<string, TaskHandler>,
      concurrency: timersAtOnceMax,
    }),
  )
  const beating = (async () => {
    while (!signal.aborted) {
      await heartbeats.beat(now()).catch(() => undefined)
      await sleep(beatEveryMs, signal)
    }
  })()
  await runSubscriber({ ...walker, bus: logBus({ store, database, log }), schedule, signal })
  await beating
  await jobs.close()
  await turns.close()
  await opened.close()
  await journal.close()
})
