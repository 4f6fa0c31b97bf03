import { glob, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemActor, userActor } from '../commands/actor.ts'
import { createCommands, mustExecute, requestEnvelope } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import { submitJob } from '../commands/submit-job.ts'
import { idOf } from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import type { Program } from '../domain/job.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import { graceMs, makeRoot, runningOf } from '../infra/clusters/process.testing.ts'
import { processCluster } from '../infra/clusters/process.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { endRental } from '../processes/end-rental.ts'
import { eventually } from '../testing/eventually.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { createJobRunner } from './jobs.ts'

const noop = async () => undefined

/** Returns a job whose program is a shell script. */
export const shell = (script: string): Partial<Program> => ({ command: ['sh', '-c', script] })

/** Creates a market in memory where ada has rented three GPUs, and a folder where jobs run as real processes. */
export const createJobWorld = async () => {
  const root = await makeRoot()
  const cleanUp: (() => Promise<void>)[] = []
  const openCluster = () => processCluster({ root, graceMs, trust: 'own' })
  const { rental, ...world } = await createActiveRental({ listedGpus: 3, gpuCount: 3, deposit: 20_000_000n })

  const submit = async (program: Partial<Program>): Promise<string> => {
    const usual = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 512 }
    const ids = { renter: 'ada', idempotencyKey: newId(), rental }
    const submitted = await submitJob(world, { ...ids, ...usual, ...program })
    if (isRefusal(submitted)) throw new Error(submitted.refused)
    return submitted.job
  }
  /** Submits a job that its rental does not know. */
  const submitUnadmitted = async (): Promise<string> => {
    const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 512 }
    const [job, submittedAt] = [newId(), world.now()]
    const command = { type: 'SubmitJob', renter: 'ada', rental, submittedAt, ...program } as const
    const envelope = requestEnvelope(newId(), userActor('ada'), submittedAt)
    mustExecute(await world.commands.execute('job', job, command, envelope))
    return job
  }
  const eventsOf = async (job: string) => (await world.commands.load('job', job)).history.map(({ event }) => event)
  const eventTypesOf = async (job: string) => (await eventsOf(job)).map(({ type }) => type)
  const until = (job: string, type: string, count = 1) =>
    eventually(`${count} ${type} of ${job}`, async () => {
      const found = (await eventTypesOf(job)).filter((one) => one === type).length
      return found >= count
    })
  const requestStop = (job: string) => {
    const ids = { commandId: newId(), correlationId: job, causationId: job }
    const command = { type: 'RequestStop', reason: 'enough', requestedAt: world.now() } as const
    return world.commands.execute('job', job, command, { ...ids, actor: userActor('ada'), time: world.now() })
  }
  const endRentalOfJobs = () =>
    endRental({ ...world, heartbeats: steadyHeartbeats() }, rental, 'expired', systemActor('timer'))

  /** Starts a job runner that reconciles a job at each of its events, as the scheduler does. */
  const run = (cluster: Cluster = openCluster(), store: EventStore = world.store) => {
    const commands = createCommands({ store })
    const runner = createJobRunner({ ...world, commands, cluster, heartbeats: steadyHeartbeats(), log: silentLog })
    const stopping = new AbortController()
    const filter = { types: ['JobSubmitted', 'JobInterrupted', 'JobStopRequested'], signal: stopping.signal }
    const following = (async () => {
      for await (const { events } of world.store.subscribe(filter))
        for (const { stream } of events) await runner.reconcile(idOf(stream)).catch(noop)
    })()
    let closed: Promise<void> | undefined
    const close = async (options: Parameters<typeof runner.close>[0]) => {
      stopping.abort()
      await following
      await runner.close(options)
    }
    const closeOnce: typeof runner.close = (options) => {
      closed ??= close(options)
      return closed
    }
    cleanUp.push(() => closeOnce())
    return { ...runner, close: closeOnce }
  }

  return {
    ...world,
    log: silentLog,
    heartbeats: steadyHeartbeats(),
    openCluster,
    rental,
    submit,
    submitUnadmitted,
    eventsOf,
    eventTypesOf,
    until,
    requestStop,
    endRental: endRentalOfJobs,
    run,
    /** A line of a script that waits until `go` is called. */
    waitForGo: 'while [ ! -e "$HOME/go" ]; do sleep 0.02; done',
    /** Lets all jobs go on that wait, also those that start later. */
    go: async () => {
      const release = async () => {
        for await (const work of glob(join(root, '*', '*', 'work'))) await writeFile(join(work, 'go'), '')
      }
      const timer = setInterval(() => void release().catch(noop), 50)
      cleanUp.push(async () => clearInterval(timer))
      await release()
    },
    outputOf: async (job: string, attempt = 1) => {
      const cluster = openCluster()
      const { text } = await cluster.readLog({ jobId: job, attempt }, 0, 10_000)
      await cluster.close({ stopJobs: false })
      return text
    },
    /** Returns the ids of the running processes of an attempt. */
    pids: (job: string, attempt = 1) => runningOf(root, { jobId: job, attempt }),
    /** Kills the processes of an attempt. With the first of them, others may end. */
    kill: async (job: string, attempt: number) => {
      for (const pid of await runningOf(root, { jobId: job, attempt }))
        try {
          process.kill(pid, 'SIGKILL')
        } catch {}
    },
    isGone: async (job: string, attempt = 1) => (await runningOf(root, { jobId: job, attempt })).length === 0,
    /** Opens a cluster whose watchers are never called, as if the program that opened it was killed. */
    unwatched: (): Cluster => {
      const cluster = openCluster()
      cleanUp.push(() => cluster.close({ stopJobs: false }))
      const noWatcher = { started: () => undefined, progressed: () => undefined, ended: () => undefined }
      return { ...cluster, launch: (spec) => cluster.launch(spec, noWatcher), stop: noop, close: noop }
    },
    close: async () => {
      for (const clean of cleanUp.reverse()) await clean()
      await openCluster().close({ stopJobs: true })
      await rm(root, { recursive: true })
    },
  }
}

export type JobWorld = Awaited<ReturnType<typeof createJobWorld>>
