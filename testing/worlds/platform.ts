import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SpawnedPlatform, spawnPlatform } from '../../cli/platform.ts'
import { embeddedPostgresUrl } from '../../infra/embedded-postgres.ts'
import { connectPostgres, type Database } from '../../infra/postgres.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { silentLog } from './silent-log.ts'

export type TestPlatform = SpawnedPlatform & {
  /** Kills the platform's own process with SIGKILL, as in a crash. */
  kill(): Promise<void>
}

const started = new Set<TestPlatform>()

const stopMsMax = 20_000

/** Ends the platforms that a test has left running, in order, so that no job stays behind. Kills one that does not
 *  end. */
export const stopTestPlatforms = async (): Promise<void> => {
  for (const platform of started) {
    const late = setTimeout(() => platform.process.kill('SIGKILL'), stopMsMax)
    await platform.stop()
    clearTimeout(late)
  }
  started.clear()
}

/** Starts the whole platform as its users do: its own process with an embedded database and chain, on free ports. */
export const startTestPlatform = async (
  dataDir: string,
  settings: Record<string, string> = {},
): Promise<TestPlatform> => {
  const platform = await spawnPlatform({
    HOST: '127.0.0.1',
    DATA_DIR: dataDir,
    CHAIN_PORT: '0',
    DATABASE_URL: '',
    EVENTSTORE_URL: '',
    ...settings,
  })
  const test: TestPlatform = {
    ...platform,
    kill: async () => {
      if (platform.process.exitCode !== null || platform.process.signalCode !== null) return
      const closed = once(platform.process, 'exit')
      platform.process.kill('SIGKILL')
      await closed
    },
  }
  started.add(test)
  return test
}

/** Creates a data folder for one spec. Other users can enter its parents, since PostgreSQL may run as one of them. */
export const createTestFolder = async (): Promise<{ readonly path: string; remove(): Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), 'neuralmesh-e2e-'))
  await chmod(path, 0o755)
  return {
    path,
    remove: async () => {
      // PostgreSQL ends a moment after a platform that was killed, and writes until then.
      await eventually('no process uses the folder', async () => (await processesNaming(path)).length === 0)
      await rm(path, { recursive: true, force: true })
    },
  }
}

/** Resolves to the address of the embedded database of a running platform. Throws when none has run on the folder. */
export const embeddedDatabaseUrl = async (dataDir: string): Promise<string> => {
  const url = await embeddedPostgresUrl(dataDir)
  if (url === undefined) throw new Error(`no database has run on ${dataDir}`)
  return url
}

/** Opens the embedded database of a running platform for this work, and closes it afterwards. */
export const withPlatformDatabase = async <Result>(
  dataDir: string,
  work: (database: Database) => Promise<Result>,
): Promise<Result> => {
  const database = connectPostgres({ url: await embeddedDatabaseUrl(dataDir), log: silentLog, poolSize: 4 })
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}
