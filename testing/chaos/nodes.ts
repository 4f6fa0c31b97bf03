import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { uptime } from 'node:os'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { ServerNode } from '../../bench/eventstoredb/nodes.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { parseEventStoreDbAddress } from '../../infra/event-store-address.ts'
import { parseJson } from '../../infra/system/json.ts'
import { type ProcessEntry, readProcess } from '../../infra/system/processes.ts'
import type { Log } from '../../infra/telemetry.ts'
import { eventually } from '../eventually.ts'
import type { NodeKind } from './schedule.ts'

const lookMs = 200
const restartMsMax = 1_000
const startMsMax = 300_000
const answerMsMax = 2_000
/** Linux counts the time in /proc in hundredths of a second. */
const msPerTick = 10
const clockSlackMs = 1_000

/** The nodes of an EventStoreDB, kept running through kills. */
export type Nodes = {
  /** The address of all of them. */
  readonly url: string
  readonly count: number
  readonly version: () => string
  /** Kills one that leads, that follows, or any. Resolves to false when none runs. */
  kill(kind: NodeKind, choice: number): Promise<boolean>
  readonly starts: () => number
  /** How many times a node has ended without being killed. */
  readonly endedThemselves: () => number
  /** Resolves when all nodes lead or follow. Throws, naming those that do not. */
  untilAllServe(timeoutMs: number): Promise<void>
  close(): Promise<void>
}

/** A process of a node. It has another start time after each start. */
type Running = Pick<ProcessEntry, 'pid' | 'startTime'>
type Slot = { readonly node: ServerNode; killed: boolean; running: Running | undefined }

/** Returns the address of all nodes together, with the options of the first. */
export const addressOfAll = (nodes: readonly ServerNode[]): string => {
  const [first, ...others] = nodes.flatMap(({ url }) => parseEventStoreDbAddress(url) ?? [])
  if (!first) throw new Error('There is no node.')
  const [before = '', ...options] = first.forClient.split('?')
  const more = others.flatMap(({ hosts }) => hosts.map(({ host, port }) => `${host}:${port}`))
  return [[before, ...more].join(','), ...options].join('?')
}

/** Starts the nodes that do not run, and starts each again when it has ended: killed, or by itself, as a former leader
 *  does whose last writes were not replicated. They go on running after `close`. Throws an error whose message is for
 *  people when one may not be killed or does not start. */
export const keepNodesRunning = async (nodes: readonly ServerNode[], log: Log): Promise<Nodes> => {
  const closing = new AbortController()
  const slots: readonly Slot[] = nodes.map((node) => ({ node, killed: false, running: undefined }))
  const counts = { starts: 0, endedThemselves: 0 }
  let version = 'unknown version'

  const start = async (slot: Slot): Promise<void> => {
    counts.starts += 1
    log.info({ node: slot.node.url }, 'starting a node')
    await promisify(execFile)('/bin/sh', ['-c', slot.node.start], {
      timeout: startMsMax,
      signal: closing.signal,
      // The server would take it for an option of its own, and end.
      env: { ...process.env, EVENTSTORE_URL: undefined },
    })
  }

  const startAgain = async (slot: Slot): Promise<void> => {
    await sleep(Math.random() * restartMsMax, closing.signal)
    // A supervisor of its own may have been faster.
    if (closing.signal.aborted || processOf(slot.node)) return
    await start(slot).catch((err: unknown) => log.warn({ err, node: slot.node.url }, 'a node did not start'))
  }

  const keepRunning = async (slot: Slot): Promise<void> => {
    let starting: Promise<void> | undefined
    while (!closing.signal.aborted) {
      const running = processOf(slot.node)
      const hasEnded = slot.running !== undefined && running?.startTime !== slot.running.startTime
      if (hasEnded && !slot.killed) {
        log.warn({ node: slot.node.url }, 'a node has ended by itself')
        counts.endedThemselves += 1
      }
      if (hasEnded) slot.killed = false
      slot.running = running
      // While its start waits until it serves, it may end and be started again by that.
      if (!running)
        starting ??= startAgain(slot).finally(() => {
          starting = undefined
        })
      await sleep(lookMs, closing.signal)
    }
    await starting
  }

  /** Resolves to the nodes that lead or follow. */
  const serving = async (): Promise<ReadonlyMap<ServerNode, string>> => {
    const found = new Map<ServerNode, string>()
    for (const { node, info } of await Promise.all(
      nodes.map(async (node) => ({ node, info: await infoOf(node.url) })),
    )) {
      if (info) version = info.version
      if (info?.state === 'leader' || info?.state === 'follower') found.set(node, info.state)
    }
    return found
  }

  const untilAllServe = async (timeoutMs: number) => {
    let served = await serving()
    const look = async () => {
      served = await serving()
      return served.size === nodes.length
    }
    await eventually('all nodes serve', look, timeoutMs).catch(() => {
      const away = nodes.filter((node) => !served.has(node)).map(({ url }) => placeOf(url))
      throw new Error(`these nodes do not serve: ${away.join(', ')}`)
    })
  }

  await Promise.all(
    slots.map(async (slot) => {
      if (!processOf(slot.node)) await start(slot)
      slot.running = processOf(slot.node)
      if (!slot.running) throw new Error(`${slot.node.pidFile} names no process after ${slot.node.start}`)
      process.kill(slot.running.pid, 0)
    }),
  )
  await untilAllServe(startMsMax)
  counts.starts = 0
  const kept = slots.map(keepRunning)

  return {
    url: addressOfAll(nodes),
    count: nodes.length,
    version: () => version,
    kill: async (kind, choice) => {
      const states = kind === 'node' ? undefined : await serving()
      const candidates = slots.filter(({ node }) => states === undefined || states.get(node) === kind)
      const alive = candidates.flatMap((slot) => {
        const running = processOf(slot.node)
        return running ? [{ slot, running }] : []
      })
      const victim = alive[Math.floor(choice * alive.length)]
      if (!victim) return false
      log.info({ kind, node: victim.slot.node.url }, 'killing')
      victim.slot.killed = true
      victim.slot.running = victim.running
      try {
        process.kill(victim.running.pid, 'SIGKILL')
        return true
      } catch {
        return false // it ended in between
      }
    },
    starts: () => counts.starts,
    endedThemselves: () => counts.endedThemselves,
    untilAllServe,
    close: async () => {
      closing.abort()
      await Promise.all(kept)
    },
  }
}

/** Returns the process that the file of a node names, while it runs. A process that began after the file was written has
 *  got the number of one that has ended. */
const processOf = ({ pidFile }: ServerNode): Running | undefined => {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'))
    const found = Number.isInteger(pid) && pid > 1 ? readProcess(pid) : undefined
    if (!found || found.over) return undefined
    const beganMs = Date.now() - uptime() * 1_000 + found.startTime * msPerTick
    return beganMs <= statSync(pidFile).mtimeMs + clockSlackMs ? found : undefined
  } catch {
    return undefined
  }
}

const placeOf = (url: string): string =>
  parseEventStoreDbAddress(url)
    ?.hosts.map(({ host, port }) => `${host}:${port}`)
    .join() ?? ''

const infoOfNode = z.object({ state: z.string(), esVersion: z.string().optional(), dbVersion: z.string().optional() })

/** Resolves to the state of a node by its own account (`leader`, `follower`, or on its way), and to its version; to undefined when
 *  it does not answer. */
const infoOf = async (url: string): Promise<{ readonly state: string; readonly version: string } | undefined> => {
  const { data } = infoOfNode.safeParse(parseJson(await readInfo(url).catch(() => '')))
  return data && { state: data.state.toLowerCase(), version: data.dbVersion ?? data.esVersion ?? 'unknown version' }
}

/** Resolves to the text of `/info`, as the user of the address. */
const readInfo = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const address = parseEventStoreDbAddress(url)
    const [{ host, port } = { host: '', port: 0 }] = address?.hosts ?? []
    const options = address?.options ?? new Map<string, string>()
    const [, user] = /^[^:]+:\/\/([^@/?]*)@/.exec(url) ?? []
    const usesTls = options.get('tls') !== 'false'
    const authority = options.get('tlscafile')
    const request = (usesTls ? getHttps : getHttp)({
      ...{ host, port, path: '/info', timeout: answerMsMax, signal: AbortSignal.timeout(answerMsMax) },
      ...(user !== undefined && { auth: decodeURIComponent(user) }),
      ...(authority !== undefined && { ca: readFileSync(decodeURIComponent(authority)) }),
      ...(options.get('tlsverifycert') === 'false' && { rejectUnauthorized: false }),
    })
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error('no answer'))))
      response.on('error', reject)
    })
  })
