import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../infra/embedded-postgres.ts'
import { createLog } from '../../infra/telemetry.ts'
import { keepServer } from './stop.ts'

/** Jest calls this once before all specs that need servers. They find PostgreSQL at TEST_DATABASE_URL: the one that is given,
 *  or one of our own, which loses its data with the run and ends with Jest, also when that is killed. */
const startServers = async (): Promise<void> => {
  if (process.env.TEST_DATABASE_URL) return
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-test-servers-'))
  await chmod(folder, 0o755)
  const log = createLog({ level: 'warn', format: 'pretty' }, process.stderr)
  const server = await startEmbeddedPostgres({ folder, log, durable: false })
  process.env.TEST_DATABASE_URL = server.url
  keepServer({ server, folder })
}

export default startServers
