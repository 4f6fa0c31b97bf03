import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createClient } from '../../cli/client.ts'
import { signIn } from '../../cli/sign-in.ts'
import { createTestFolder, startTestPlatform } from '../worlds/platform.ts'
import { createListing } from '../worlds/renter.ts'
import { type Attack, nothingLeft, stillServes, type Target } from './attack.ts'
import { chainAttacks } from './chain.ts'
import { documentAttacks } from './documents.ts'
import { closeConnections } from './http.ts'
import { jobAttacks } from './jobs.ts'
import { leavingAttacks } from './leaving.ts'
import { marketAttacks } from './market.ts'
import { pageAttacks } from './pages.ts'
import { pieceAttacks } from './pieces.ts'
import { pipelineAttacks } from './pipelines.ts'
import { startSampler, type Worst } from './sampler.ts'
import { signInAttacks } from './sign-in.ts'
import { slowAttacks } from './slow.ts'
import { socketAttacks } from './sockets.ts'
import { textAttacks } from './texts.ts'
import { unreadAttacks } from './unread.ts'

/** What came of one attack. `complaints` are the promises and limits that did not hold, one sentence each. */
export type Row = {
  readonly name: string
  readonly seconds: number
  readonly rssBytes: number
  /** Null when /health once gave no answer. */
  readonly healthMs: number | null
  readonly complaints: readonly string[]
}

export type AbuseOptions = {
  /** Sends a part of each attack, and measures without a limit. */
  readonly isShort: boolean
  readonly rssBytesMax: number
  readonly healthMsMax: number
  /** Runs only the attacks whose name has this text. */
  readonly only: string
}

const samplerAddress = '127.0.0.3'
const shortDivisor = 20

const attacks: readonly Attack[] = [
  ...textAttacks,
  ...documentAttacks,
  ...leavingAttacks,
  ...signInAttacks,
  ...socketAttacks,
  ...slowAttacks,
  ...pieceAttacks,
  ...pipelineAttacks,
  ...unreadAttacks,
  ...pageAttacks,
  ...marketAttacks,
  ...jobAttacks,
  ...chainAttacks,
]

/** Returns the names of all attacks, in their order. */
export const attackNames = (): readonly string[] => attacks.map(({ name }) => name)

/** Starts a platform of its own and runs the attacks on it, one after the other, until `signal` aborts. `onRow` gets
 *  each row as it is known. Resolves to all rows, with nothing left behind. */
export const runAbuse = async (
  options: AbuseOptions,
  signal: AbortSignal,
  onRow: (row: Row) => void,
): Promise<readonly Row[]> => {
  const folder = await createTestFolder()
  const rows: Row[] = []
  let stop = async (): Promise<unknown> => undefined
  try {
    const platform = await startTestPlatform(folder.path)
    stop = platform.stop
    if (signal.aborted) return rows
    const target = await createTarget(
      { url: platform.url, pid: platform.process.pid ?? 0, dataDir: folder.path },
      options.isShort,
    )
    const sampler = await startSampler({ url: platform.url, pid: target.pid, from: samplerAddress })
    const aborted = new Promise<undefined>((resolve) => {
      if (signal.aborted) resolve(undefined)
      signal.addEventListener('abort', () => resolve(undefined), { once: true })
    })
    for (const attack of attacks.filter(({ name }) => name.includes(options.only))) {
      // One that the gateway is about to end for its idleness would break the next request.
      closeConnections()
      sampler.take()
      const began = performance.now()
      const broken = await Promise.race([runAttack(attack, target), aborted])
      if (broken === undefined) break
      const worst = sampler.take()
      const row: Row = {
        name: attack.name,
        seconds: (performance.now() - began) / 1_000,
        rssBytes: worst.rssBytes,
        healthMs: Number.isFinite(worst.healthMs) ? worst.healthMs : null,
        complaints: [
          ...broken,
          ...(platform.process.exitCode === null ? [] : ['the platform has ended']),
          ...(options.isShort ? [] : beyondLimits(worst, options)),
        ],
      }
      rows.push(row)
      onRow(row)
    }
    await sampler.close()
    return rows
  } finally {
    closeConnections()
    await stop()
    await folder.remove()
  }
}

/** Resolves to what did not hold, an exception included. */
const runAttack = async ({ run }: Attack, target: Target): Promise<readonly string[]> => {
  const attempt = async (work: (target: Target) => Promise<readonly string[]>) => {
    try {
      return await work(target)
    } catch (error) {
      return [String(error)]
    }
  }
  return [...(await attempt(run)), ...(await attempt(stillServes)), ...(await attempt(nothingLeft))]
}

const beyondLimits = ({ rssBytes, healthMs }: Worst, { rssBytesMax, healthMsMax }: AbuseOptions): readonly string[] => [
  ...(rssBytes > rssBytesMax ? ['memory is beyond its limit'] : []),
  ...(healthMs > healthMsMax ? ['/health is slower than its limit'] : []),
]

const createTarget = async (platform: Pick<Target, 'url' | 'pid' | 'dataDir'>, isShort: boolean): Promise<Target> => {
  const { url } = platform
  const listing = await createListing(url, 8, '2.5')
  const client = createClient(url)
  const providerToken = await signIn(client, privateKeyToAccount(generatePrivateKey()))
  await client.mutate('registerProvider', { name: 'An attacker' }, 'position')
  const { chain } = await client.query<{ chain: { rpcUrl: string } }>('{ chain { rpcUrl } }')
  await client.close()
  return {
    ...platform,
    chainUrl: chain.rpcUrl,
    listing,
    providerToken,
    isShort,
    much: (full, least = 1) => (isShort ? Math.max(least, Math.ceil(full / shortDivisor)) : full),
  }
}
