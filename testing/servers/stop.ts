import { readFile, rm } from 'node:fs/promises'
import type { EmbeddedPostgres } from '../../infra/embedded-postgres.ts'

/** What the run has started: a server, unless one was given, and a folder for its data. */
type Run = { readonly server?: EmbeddedPostgres; readonly folder: string }

/** Jest loads its two hooks apart from each other; both see this object. */
const shared: { neuralMeshTestRun?: Run } = globalThis as typeof globalThis & { neuralMeshTestRun?: Run }

/** Keeps what is to be ended and removed after all specs. */
export const keepRun = (run: Run): void => {
  shared.neuralMeshTestRun = run
}

/** Stops the servers once after all specs. Prints which suites were left out, and why. */
const stopServers = async (): Promise<void> => {
  const run = shared.neuralMeshTestRun
  if (run === undefined) return
  const leftOut = await readFile(process.env.TEST_LEFT_OUT ?? '', 'utf8').catch(() => '')
  if (leftOut !== '') process.stderr.write(`\nNot run on this machine:\n${leftOut}`)
  await run.server?.close()
  await rm(run.folder, { recursive: true })
}

export default stopServers
