// The whole platform, or the roles of it that ROLES names. Reads the configuration, opens the parts one after the
// other, wires them, and closes them in reverse order. No other file of the project chooses the engine behind a port.
import { join } from 'node:path'
import { createCommands } from './commands/execute.ts'
import { logBus } from './infra/bus/log.ts'
import { postgresChainCursor } from './infra/chain/cursor.ts'
import { startEmbeddedChain } from './infra/chain/embedded.ts'
import { postgresRescans } from './infra/chain/rescans.ts'
import { rpcChain } from './infra/chain/rpc.ts'
import { clusterNameOf, makeWayForStart, processCluster } from './infra/clusters/process.ts'
import { type Config, portsOf, readConfig, settingWarnings } from './infra/config.ts'
import { openDataFolder } from './infra/data-folder.ts'
import {
  dropClientVariables,
  explainRefusal,
  postgresStopMs,
  startEmbeddedPostgres,
} from './infra/embedded-postgres.ts'
import { keepInDatabase, keepInFolder } from './infra/event-store/keeper.ts'
import { shareReader } from './infra/event-store/one-reader.ts'
import { openEventStore } from './infra/event-store/open.ts'
import { onFaults } from './infra/faults.ts'
import { postgresHeartbeats } from './infra/heartbeats/postgres.ts'
import { readOrCreateSecret } from './infra/keys/file.ts'
import { postgresUsedNonces } from './infra/nonces/postgres.ts'
import { postgresParkedTasks } from './infra/parked-tasks/postgres.ts'
import { checkDatabase, connectPostgres, migrateOperations } from './infra/postgres.ts'
import { createShutdown, type Shutdown } from './infra/shutdown.ts'
import { readHelp, takesSettings } from './infra/system/arguments.ts'
import { closeInherited } from './infra/system/inherited.ts'
import { returnMemory } from './infra/system/memory.ts'
import { onLostOutput, printReport, reportOf } from './infra/system/report.ts'
import { environmentFilesOf, keyFilesOf } from './infra/system/secret-files.ts'
import { startTaskQueue, type TaskHandler } from './infra/task-queue.ts'
import { createLog, createMetrics, type Log } from './infra/telemetry.ts'
import { openPostgresTurns } from './infra/turns/postgres.ts'
import type { Cancel, Schedule } from './processes/timers.ts'
import { refuseOtherChain } from './processes/watch-deposits.ts'
import { allProjections } from './projections/all.ts'
import { openReadModels } from './projections/database.ts'
import { followProjections, startProjections } from './projections/engine/start.ts'
import { addressesOf } from './roles/addresses.ts'
import { startGateway } from './roles/gateway.ts'
import { faultReason, type Platform } from './roles/platform.ts'
import { startScheduler } from './roles/scheduler.ts'
import { startWatcher } from './roles/watcher.ts'
import { startWorker, timerHandlers } from './roles/worker.ts'

const databaseWaitMs = 30_000
const connectionsMax = 16
const tasksAtOnceMax = 4
const processStopMs = { closeMs: 15_000, reservedMs: 5_000 }
const jwtFix = 'remove it, and all users sign in again; or put it back from a backup, or set JWT_SECRET'

const now = () => new Date().toISOString()

const start = async (config: Config, log: Log, shutdown: Shutdown): Promise<void> => {
  const began = performance.now()
  const metrics = createMetrics()

  /** Opens one part, logs how long that took, and registers its close with the shutdown. */
  const open = async <Part>(
    name: string,
    openPart: () => Promise<Part>,
    close?: (part: Part, msMax: number) => unknown,
    closeTimes?: { closeMs: number; reservedMs: number },
  ): Promise<Part> => {
    shutdown.signal.throwIfAborted()
    const from = performance.now()
    const opening = openPart()
    // What is started in a process of its own is not left half way: a stop waits for it, and then closes it.
    if (closeTimes) shutdown.add(`${name}, as it opens`, () => opening.catch(() => undefined), closeTimes)
    const part = await opening
    if (close) shutdown.add(name, (_, msMax) => close(part, msMax), closeTimes)
    log.info({ part: name, ms: Math.round(performance.now() - from) }, 'ready')
    return part
  }

  const addresses = addressesOf(config)
  if (config.roles.includes('scheduler'))
    await makeWayForStart({
      root: config.jobDir,
      ports: portsOf(config),
      addresses: addresses.all,
      log: log.child({ part: 'cluster' }),
    })
  const folder = await open(
    'data folder',
    () => openDataFolder(config.dataDir, log),
    (opened) => opened.close(),
  )
  await addresses.take() // before it has opened a database
  if (config.databaseUrl === undefined) dropClientVariables(process.env)
  const databaseUrl =
    config.databaseUrl ??
    (
      await open(
        'embedded PostgreSQL',
        () => startEmbeddedPostgres({ folder: folder.path, log }),
        (server, msMax) => server.close(msMax),
        postgresStopMs,
      )
    ).url
  const database = await open(
    'database',
    async () => {
      if (config.databaseUrl !== undefined)
        await checkDatabase({ url: databaseUrl, log, waitMs: databaseWaitMs, signal: shutdown.signal })
      const connected = connectPostgres({ url: databaseUrl, log, metrics, poolSize: connectionsMax })
      await connected.waitUntilReady(databaseWaitMs).catch((error: unknown) => {
        if (config.databaseUrl === undefined) explainRefusal(folder.path, error)
        throw error
      })
      await migrateOperations(connected)
      return connected
    },
    (connected) => connected.close(),
  )
  const replaced = new AbortController()
  const store = await open(
    'event store',
    async () =>
      shareReader(
        await openEventStore({
          database,
          eventStoreUrl: config.eventStoreUrl,
          log: log.child({ part: 'event store' }),
          keepers: [
            keepInFolder(folder.path),
            ...(config.eventStoreUrl === undefined ? [] : [keepInDatabase(database)]),
          ],
          onReplaced: (failure) => {
            log.error({ err: failure }, 'the log was put back or replaced: nothing is written, and all work stops')
            replaced.abort()
          },
        }),
      ),
    (opened) => opened.close(),
  )
  const read = await open(
    'read models',
    () => openReadModels({ url: databaseUrl, log, projections: allProjections, store }),
    (opened) => opened.close(),
  )
  const { chain } = await open(
    'chain',
    () => openChain(config, folder.path, log),
    (opened) => opened.close(),
    processStopMs,
  )
  const { chainId, marketplace } = chain.description
  const cursorName = `${chainId}:${marketplace}`
  const chainCursor = postgresChainCursor(database, cursorName)
  await refuseOtherChain({ chain, cursor: chainCursor })
  const turns = await open(
    'turns',
    () => openPostgresTurns({ database, log }),
    (opened) => opened.close(),
  )
  const commands = createCommands({ store, turns })
  const projections = config.roles.includes('projector')
    ? startProjections({ projections: allProjections, store, database, metrics, log: log.child({ part: 'projector' }) })
    : followProjections({ projections: allProjections, store, database })
  shutdown.add('projections', projections.close)

  const cluster = await open('cluster', () => openCluster(config, log.child({ part: 'cluster' })))
  const parts: Omit<Platform, 'schedule' | 'cancel'> = {
    config,
    address: addresses.gateway,
    log,
    metrics,
    shutdown,
    database,
    store,
    commands,
    read,
    projections,
    bus: logBus({ store, database, log: log.child({ part: 'bus' }) }),
    heartbeats: postgresHeartbeats(database, { log: log.child({ part: 'heartbeats' }) }),
    chain,
    chainCursor,
    rescans: postgresRescans(database, cursorName),
    cluster,
    jwtSecret: config.jwtSecret ?? (await readOrCreateSecret(join(folder.path, 'keys', 'jwt'), jwtFix)),
    usedNonces: postgresUsedNonces(database),
    parkedTasks: postgresParkedTasks({ database, metrics }),
    now,
  }
  const handlers = timerHandlers(
    parts,
    (...timer) => schedule(...timer),
    (key) => cancel(key),
  )
  const taskQueue = await open(
    'timers',
    () =>
      startTaskQueue({
        url: databaseUrl,
        database,
        log,
        handlers: config.roles.includes('worker') ? (handlers as Record<string, TaskHandler>) : {},
        concurrency: tasksAtOnceMax,
      }),
    (opened) => opened.close(),
  )
  const schedule: Schedule = (name, payload, { key, runAt }) =>
    taskQueue.schedule(name, payload, { key, runAt: new Date(runAt) })
  const cancel: Cancel = (key) => taskQueue.cancel(key)
  const platform: Platform = { ...parts, schedule, cancel }
  // Without its log the platform works no more. The gateway goes on: it answers with the reason.
  const working = { ...shutdown, signal: AbortSignal.any([shutdown.signal, replaced.signal]) }
  const stopTimers = () => void taskQueue.close().catch((err) => log.warn({ err }, 'the timers did not stop cleanly'))
  replaced.signal.addEventListener('abort', stopTimers)
  if (replaced.signal.aborted) stopTimers()

  if (config.roles.includes('worker')) startWorker({ ...platform, shutdown: working })
  if (config.roles.includes('watcher')) startWatcher({ ...platform, shutdown: working })
  if (config.roles.includes('scheduler')) startScheduler({ ...platform, shutdown: working })
  const url = config.roles.includes('gateway') ? await open('gateway', () => startGateway(platform)) : undefined
  const ms = Math.round(performance.now() - began)
  const roles = config.roles.join(',')
  log.info({ ms, roles, ...(url && { graphql: `${url}/graphql` }) }, 'NeuralMesh is up')
}

/** Opens the cluster of this machine, and logs how it isolates jobs and which control groups they have. */
const openCluster = async (config: Config, log: Log) => {
  const cluster = processCluster({
    root: config.jobDir,
    name: await clusterNameOf(config.jobDir),
    trust: config.jobTrust,
    ports: portsOf(config),
    // The project may have secrets too, in .env.
    hidden: [config.dataDir, import.meta.dirname],
    secretFiles: [...environmentFilesOf(process.execArgv), ...keyFilesOf([config.databaseUrl, config.eventStoreUrl])],
    log,
  })
  if (!config.roles.includes('scheduler')) return cluster
  const { kind, says, reasons, groups } = await cluster.isolation()
  if (kind === 'none' || kind === 'refused') log.warn({ isolation: kind, reasons, ...groups }, says)
  else log.info({ isolation: kind, ...groups }, says)
  return cluster
}

const openChain = async (config: Config, folder: string, log: Log) => {
  if (config.chain.kind === 'rpc') {
    const chain = rpcChain({ ...config.chain, asset: 'USDC/6' })
    return { chain, close: () => chain.close() }
  }
  const chainLog = log.child({ part: 'chain' })
  return startEmbeddedChain({
    folder: join(folder, 'chain'),
    port: config.chain.port,
    ownerSecret: await readOrCreateSecret(join(folder, 'keys', 'chain-owner')),
    origins: config.chain.origins,
    log: (message) => chainLog.info(message),
  })
}

const usage = `npm start
  Starts the platform. It takes no options: settings are environment variables and lines of .env (docs/configuration.md).
  Ctrl-C stops it in order; once more, it leaves at once.`

const run = async (): Promise<void> => {
  if (readHelp(takesSettings)) return console.log(usage)
  closeInherited()
  const config = readConfig(process.env)
  const log = createLog({ level: config.logLevel, format: config.logFormat })
  const shutdown = createShutdown(log)
  shutdown.onSignals()
  onFaults({ log, shutdown, reason: faultReason })
  returnMemory()
  onLostOutput((lost) => void shutdown.stop(`its output is ${lost}`).then(() => process.exit(1)))
  try {
    for (const warning of await settingWarnings(process.env, environmentFilesOf(process.execArgv)))
      log.warn(warning, 'no setting has this name')
    await start(config, log, shutdown)
  } catch (error) {
    if (shutdown.signal.aborted) return
    printReport(reportOf(error))
    await shutdown.stop('could not start')
    process.exit(1)
  }
}

if (import.meta.main)
  run().catch((error) => {
    printReport(reportOf(error))
    process.exit(1)
  })
