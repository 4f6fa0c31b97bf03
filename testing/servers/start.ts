import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../infra/embedded-postgres.ts'
import { createLog } from '../../infra/telemetry.ts'
import { keepRun } from './stop.ts'

/** Starts the servers once before all specs that need them. The specs find PostgreSQL at TEST_DATABASE_URL: the given
 *  one, or our own. Our own loses its data with the run and ends with Jest, even when Jest is killed. Suites that
 *  cannot run here write the reason to the file TEST_LEFT_OUT. */
const startServers = async (): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-test-servers-'))
  await chmod(folder, 0o755)
  process.env.TEST_LEFT_OUT = join(folder, 'left-out.txt')
  // As cli/node sets it, for the programs that tests start without it.
  process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'node')
  if (process.env.TEST_DATABASE_URL) return keepRun({ folder })
  const log = createLog({ level: 'warn', format: 'pretty' }, process.stderr)
  const server = await startEmbeddedPostgres({ folder, log, durable: false })
  process.env.TEST_DATABASE_URL = server.url
  keepRun({ server, folder })
}

export default startServers
