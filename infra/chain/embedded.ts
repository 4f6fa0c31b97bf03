import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ErrorCode, errors, Failure } from '../../domain/errors.ts'
import { createBackoff } from '../async/backoff.ts'
import { sleep } from '../async/sleep.ts'
import { within } from '../async/within.ts'
import { waitForKernelLock } from '../kernel-lock.ts'
import { makeFolders, unlessMissing } from '../system/files.ts'
import { isAlive } from '../system/processes.ts'
import { startWatched, type WatchedProcess } from '../system/watched-process.ts'
import type { ServeOptions } from './embedded/serve.ts'
import { parseServerFile, type ServerFile, serverFile, writeOptions } from './embedded/server-file.ts'
import type { Chain, ChainDescription } from './port.ts'
import { rpcChain } from './rpc.ts'

/** How many blocks must be above a deposit on the embedded chain; it mines as many after each transaction. */
export const embeddedConfirmations = 2

/** What the process may map for its data (RLIMIT_DATA); an allocation beyond ends it, and it is started again. What is
 *  mapped is mostly unused: Node reserves 512 MiB for code, and the allocator of the simulator 1 GiB at a time, of which
 *  there are two. Calls of guests at the bound of gas, one at a time, have kept less than 800 MiB resident. */
const memoryMibMax = 4_096
const heapMibMax = 512
const startMsMax = 300_000
const stopMsMax = 6_000
const leftoverMsMax = 5_000
const restartDelayMsMin = 100
const restartDelayMsMax = 5_000
const logBytesMax = 1024 * 1024
/** The width of one request for logs, as wide as the chain answers to a guest. */
const blocksPerRequestMax = 1_000

export type EmbeddedChain = {
  readonly description: ChainDescription
  readonly chain: Chain
  readonly rpcUrl: string
  /** Returns the pid of the chain's process; undefined while it is down. */
  pid(): number | undefined
  /** Ends the process in order. */
  close(): Promise<void>
}

export type EmbeddedOptions = {
  /** Holds the chain's journal. One program at a time may use it. */
  readonly folder: string
  /** The port of the JSON-RPC server on 127.0.0.1. When it is 0 or taken, any free one is used. */
  readonly port: number
  /** Sent as "Authorization: Bearer …" to the port, it allows what would change the chain without a transaction. */
  readonly ownerSecret: string
  readonly chainId?: number
  /** The origins of the web pages that may call the port. */
  readonly origins?: readonly string[]
  readonly log?: (message: string) => void
  /** How many empty blocks follow the block of a transaction, so that it is first observed and then final; and their
   *  distance. */
  readonly confirmationBlocks?: number
  readonly blockIntervalMs?: number
  /** Lets the owner take blocks back by evm_snapshot and evm_revert. For tests. */
  readonly allowReorganisations?: boolean
  /** For tests: a journal that is full sooner. */
  readonly journalLinesMax?: number
}

type Serving = NonNullable<ServerFile['serving']>

/** Starts the embedded chain in a process of its own, which ends with this one, even by kill -9, and is started again
 *  on the same port when it ends earlier. Throws CHAIN_JOURNAL_BROKEN, DATA_FOLDER_VERSION and CHAIN_UNAVAILABLE. */
export const startEmbeddedChain = async (options: EmbeddedOptions): Promise<EmbeddedChain> => {
  const { folder, port, ownerSecret, chainId = 31337, log = () => undefined } = options
  const wanted: Omit<ServeOptions, 'port' | 'exactPort'> = {
    folder,
    chainId,
    ownerSecret,
    origins: options.origins ?? [],
    confirmationBlocks: options.confirmationBlocks ?? embeddedConfirmations,
    blockIntervalMs: options.blockIntervalMs ?? 500,
    allowReorganisations: options.allowReorganisations ?? false,
    ...(options.journalLinesMax === undefined ? {} : { journalLinesMax: options.journalLinesMax }),
  }
  await makeFolders(folder)
  await endLeftover(folder)
  const lock = await waitForKernelLock(join(folder, 'lock'), {
    msMax: leftoverMsMax,
    onWait: () => log('waiting for a chain on this journal that is not seen from here'),
  })
  if (lock === undefined)
    throw new Failure('CHAIN_UNAVAILABLE', { why: `a chain of another container still runs on ${folder}: stop it` })
  const output = await openLog(join(folder, 'server.log'))
  const closing = new AbortController()
  let server: WatchedProcess | undefined

  const launch = async (at: Pick<ServeOptions, 'port' | 'exactPort'>): Promise<Serving> => {
    await endLeftover(folder)
    await rm(serverFile(folder), { force: true })
    await writeOptions({ ...wanted, ...at })
    server = await startWatched({
      command: commandOf(folder),
      cwd: folder,
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        HARDHAT_DISABLE_TELEMETRY: 'true',
        MALLOC_ARENA_MAX: '4',
        // The simulator gives back at once what it has freed.
        MIMALLOC_PURGE_DELAY: '0',
      },
      output: output.fd,
      lock: lock.fd,
    })
    const serving = await untilServing(server, folder, log, closing.signal)
    for (const note of serving.notes) log(note)
    return serving
  }

  const keepRunning = async (at: number): Promise<void> => {
    const backoff = createBackoff({ minMs: restartDelayMsMin, maxMs: restartDelayMsMax })
    while (!closing.signal.aborted) {
      const status = await server?.ended
      if (closing.signal.aborted) return
      log(`the chain has ended with ${status}; starting it again`)
      await backoff.pause(closing.signal)
      if (closing.signal.aborted) return
      try {
        await launch({ port: at, exactPort: true })
        log('the chain is back')
        backoff.reset()
      } catch (error) {
        if (!closing.signal.aborted) log(`the chain did not start: ${(error as Error).message}`)
        await stop(server)
      }
    }
  }

  try {
    const { url, id, token, marketplace } = await launch({ port, exactPort: false })
    if (port !== 0 && !url.endsWith(`:${port}`)) log(`port ${port} is taken, the chain listens at ${url}`)
    const chain = rpcChain({
      rpcUrl: url,
      chainId,
      token,
      marketplace,
      asset: 'USDC/6',
      id,
      confirmations: embeddedConfirmations,
      httpHeaders: { authorization: `Bearer ${ownerSecret}` },
      blocksPerRequestMax,
    })
    const restarts = keepRunning(Number(new URL(url).port))
    return {
      description: chain.description,
      chain,
      rpcUrl: url,
      pid: () => (server?.running() ? server.pid : undefined),
      close: async () => {
        closing.abort()
        await chain.close()
        await stop(server)
        await restarts
        await stop(server)
        await output.close().catch(() => undefined)
        await lock.release()
      },
    }
  } catch (error) {
    closing.abort()
    await stop(server)
    await output.close()
    await lock.release()
    throw error
  }
}

/** Returns the command that runs the chain with a bound on its memory: an allocation beyond it fails, which ends the
 *  process and nothing else. */
const commandOf = (folder: string): string[] => [
  '/bin/sh',
  '-c',
  `ulimit -c 0; ulimit -d ${memoryMibMax * 1024}; exec "$@"`,
  'chain',
  process.execPath,
  `--max-old-space-size=${heapMibMax}`,
  join(import.meta.dirname, 'embedded', 'program.ts'),
  folder,
]

const readServerFile = async (folder: string): Promise<ServerFile | undefined> =>
  parseServerFile(await readFile(serverFile(folder), 'utf8').catch(unlessMissing))

/** Ends the process that an earlier platform has left here: it is about to end by itself. Throws CHAIN_UNAVAILABLE. */
const endLeftover = async (folder: string): Promise<void> => {
  const found = await readServerFile(folder)
  if (found === undefined || !isAlive(found.process)) return
  try {
    process.kill(found.process.pid, 'SIGKILL')
  } catch {
    // It ended a moment ago.
  }
  for (let waited = 0; isAlive(found.process); waited += 10) {
    if (waited > leftoverMsMax)
      throw new Failure('CHAIN_UNAVAILABLE', { why: `an earlier chain does not end: ${found.process.pid}` })
    await sleep(10)
  }
}

const untilServing = async (
  server: WatchedProcess,
  folder: string,
  log: (message: string) => void,
  signal: AbortSignal,
): Promise<Serving> => {
  const begun = performance.now()
  let reports = 0
  const look = async (): Promise<Serving | undefined> => {
    const found = await readServerFile(folder)
    if (found?.process.pid !== server.pid) return undefined
    if (found.failed) throw failureOf(found.failed)
    return found.serving
  }
  while (server.running() && !signal.aborted && performance.now() - begun < startMsMax) {
    const serving = await look()
    if (serving) return serving
    if (performance.now() - begun > 5_000 * (reports + 1)) {
      reports += 1
      log(`the chain is still starting after ${Math.round((performance.now() - begun) / 1000)} s`)
    }
    await Promise.race([server.ended, sleep(20)])
  }
  await look()
  throw new Failure('CHAIN_UNAVAILABLE', {
    why: signal.aborted ? 'stopped while starting' : 'the embedded chain did not start',
    log: join(folder, 'server.log'),
  })
}

const failureOf = ({ code, details, why }: NonNullable<ServerFile['failed']>): Error =>
  code !== undefined && code in errors
    ? new Failure(code as ErrorCode, details)
    : new Failure('CHAIN_UNAVAILABLE', { why })

const stop = async (server: WatchedProcess | undefined): Promise<void> => {
  if (server === undefined || !server.running()) return
  server.signal('SIGTERM')
  if (!server.stopped()) await within(server.ended, stopMsMax, () => undefined)
  server.kill()
  await server.ended
}

const openLog = async (path: string) => {
  const found = await stat(path).catch(unlessMissing)
  if (found !== undefined && found.size > logBytesMax) await rename(path, `${path}.1`)
  return open(path, 'a', 0o600)
}
