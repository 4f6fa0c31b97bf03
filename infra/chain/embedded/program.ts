/** The process of the embedded chain: `node program.ts FOLDER`. Writes into `server.json`
 *  when it serves, or why it does not. Ends at SIGTERM in order, and at once at SIGINT, which it gets when the platform is gone. */
import { inspect } from 'node:util'
import { Failure } from '../../../domain/errors.ts'
import { ownIdentity } from '../../system/processes.ts'
import { type ServeOptions, serveChain } from './serve.ts'
import { readOptions, writeServerFile } from './server-file.ts'

const endMsMax = 5_000

const run = async (options: ServeOptions): Promise<void> => {
  const { folder } = options
  const process_ = ownIdentity()
  await writeServerFile(folder, { process: process_ })
  const notes: string[] = []
  try {
    const chain = await serveChain({
      ...options,
      log: (message) => (notes.length < 10 ? notes.push(message) : undefined),
      onBroken: (error) => {
        complain(error)
        process.exit(1)
      },
    })
    process.once('SIGTERM', () => {
      setTimeout(() => process.exit(1), endMsMax).unref()
      chain.close().then(
        () => process.exit(0),
        () => process.exit(1),
      )
    })
    await writeServerFile(folder, {
      process: process_,
      serving: { url: chain.url, id: chain.id, ...chain.contracts, notes: [...notes] },
    })
  } catch (error) {
    const said = error instanceof Failure ? { code: error.code, details: error.details } : {}
    await writeServerFile(folder, { process: process_, failed: { ...said, why: String(error) } })
    throw error
  }
}

// A journal that is synced before anything is acknowledged needs no orderly end.
process.once('SIGINT', () => process.exit(0))

const complain = (error: unknown) => process.stderr.write(`${inspect(error)}\n`)

readOptions(process.argv[2] ?? '')
  .then(run)
  .catch((error: unknown) => {
    complain(error)
    process.exit(1)
  })
