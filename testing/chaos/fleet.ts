import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { sleep } from '../../infra/async/sleep.ts'
import { below, createRandom } from '../random.ts'
import type { ChildSettings, Counts } from './child.ts'
import type { ProcessKind } from './schedule.ts'

const restartMsMax = 500

export type Member = {
  readonly kind: ProcessKind
  readonly name: string
  readonly perSecond: number
  /** Never killed. */
  readonly spared?: boolean
}

type Slot = Member & {
  process: ChildProcess | undefined
  /** It has printed something, so it can be asked to end. */
  ready: boolean
  killed: boolean
  /** It shall not be started again. */
  over: boolean
  life: number
  counts: Counts
}

export type Fleet = {
  /** Kills one of the running processes of that kind. It is started again after a moment. Returns false when none
   *  runs. */
  kill(kind: ProcessKind, choice: number): boolean
  /** Asks all of that kind to end, each once it runs, and waits. Throws, naming one that does not end. */
  stop(kind: ProcessKind, timeoutMs: number): Promise<void>
  /** Returns the sum of a figure over all lives of a kind. */
  sum(kind: ProcessKind, figure: string): number
  readonly restarts: () => number
  /** The processes that ended without being killed, one sentence each. */
  readonly unexpectedExits: readonly string[]
  /** Kills what is left. */
  end(): Promise<void>
}

/** Starts the processes of a chaos run and keeps them running, each with its own log. Each has its own session, so
 *  that Ctrl-C in the terminal does not reach it. They end with this process, even when it is killed. */
export const startFleet = (options: {
  readonly members: readonly Member[]
  readonly url: string
  /** The address of the event store, when it is not in that database, and a proxy to reach it through. */
  readonly eventStoreUrl?: string | undefined
  readonly proxyUrl?: string | undefined
  /** The folder of the journals. */
  readonly folder: string
  readonly logs: string
  readonly seed: number
}): Fleet => {
  const { members, url, eventStoreUrl, proxyUrl, folder, logs, seed } = options
  const slots: Slot[] = members.map((member) => ({
    ...member,
    process: undefined,
    ready: false,
    killed: false,
    over: false,
    life: 0,
    counts: {},
  }))
  const past: { kind: ProcessKind; counts: Counts }[] = []
  const unexpectedExits: string[] = []
  const ending = new AbortController()

  const runOnce = async (slot: Slot): Promise<void> => {
    slot.life += 1
    slot.ready = false
    slot.killed = false
    slot.counts = {}
    const { name, life, perSecond } = slot
    const settings: ChildSettings = {
      name,
      life,
      perSecond,
      url,
      eventStoreUrl,
      folder,
      seed: seed + life * 1_009 + slots.indexOf(slot),
    }
    const program = join(import.meta.dirname, `${slot.kind}.ts`)
    const log = openSync(join(logs, `${name}.log`), 'a')
    const child = spawn(process.execPath, [program, JSON.stringify(settings)], {
      stdio: ['pipe', 'pipe', log],
      detached: true,
      env: {
        ...process.env,
        ...{ NODE_OPTIONS: '', NODE_COMPILE_CACHE: join(logs, 'compiled') },
        ...(proxyUrl && { grpc_proxy: proxyUrl, no_grpc_proxy: '' }),
      },
    })
    closeSync(log)
    child.stdin?.on('error', () => undefined)
    slot.process = child
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) => {
        slot.ready = true
        slot.counts = JSON.parse(line) as Counts
      })
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    slot.process = undefined
    past.push({ kind: slot.kind, counts: slot.counts })
    if (!slot.killed && !slot.over) unexpectedExits.push(`${name} ended by itself with ${signal ?? code}, see its log`)
    else if (slot.over && !slot.killed && code !== 0)
      unexpectedExits.push(`${name} did not end well: ${signal ?? code}`)
  }

  const keepAlive = async (slot: Slot): Promise<void> => {
    const random = createRandom(seed + slots.indexOf(slot))
    while (!ending.signal.aborted) {
      await runOnce(slot)
      if (slot.over) return
      await sleep(below(random, restartMsMax), ending.signal)
    }
  }
  const running = slots.map((slot) => ({ slot, done: keepAlive(slot) }))

  return {
    kill: (kind, choice) => {
      const running = slots.filter(
        (slot) => slot.kind === kind && slot.process !== undefined && !slot.spared && !slot.over,
      )
      const slot = running[Math.floor(choice * running.length)]
      if (!slot?.process) return false
      slot.killed = true
      slot.process.kill('SIGKILL')
      return true
    },
    stop: async (kind, timeoutMs) => {
      const late = delay(timeoutMs, 'late' as const, { ref: false })
      await Promise.all(
        running
          .filter(({ slot }) => slot.kind === kind)
          .map(async ({ slot, done }) => {
            // A process that was killed last is started once more, to finish what it had begun.
            while (slot.process === undefined || !slot.ready || slot.killed) await sleep(10)
            slot.over = true
            slot.process.kill('SIGTERM')
            if ((await Promise.race([done, late])) === 'late') throw new Error(`${slot.name} does not end`)
          }),
      )
    },
    sum: (kind, figure) =>
      [...past, ...slots.filter(({ process }) => process !== undefined)]
        .filter((life) => life.kind === kind)
        .reduce((total, { counts }) => total + (counts[figure] ?? 0), 0),
    restarts: () => slots.reduce((sum, { life }) => sum + Math.max(0, life - 1), 0),
    unexpectedExits,
    end: async () => {
      ending.abort()
      for (const slot of slots) {
        slot.over = true
        slot.killed = true
        slot.process?.kill('SIGKILL')
      }
      await Promise.all(running.map(({ done }) => done))
    },
  }
}
