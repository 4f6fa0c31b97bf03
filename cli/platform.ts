import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Failure } from '../domain/errors.ts'
import { parseJson } from '../infra/system/json.ts'

/** A platform in its own process. `output` returns what it has printed so far. */
export type SpawnedPlatform = {
  readonly url: string
  readonly process: ChildProcess
  readonly output: () => string
  /** Sends SIGTERM and resolves to the exit code. */
  stop(): Promise<number | null>
}

const startMsMax = 60_000
const answerMsMax = 2_000
/** How a program here shows a failure: its code, what is wrong, where, and what to do. */
const failureLine = /^[A-Z][A-Z_]+: .+$/gm

/** Starts a platform with these settings, and resolves once it is up. `onLine` gets its log line by line. When `signal`
 *  aborts, it gets SIGTERM. Throws PLATFORM_NOT_STARTED, with its last failure, when it ends before it is up. */
export const spawnPlatform = async (
  settings: Readonly<Record<string, string>>,
  onLine: (line: Readonly<Record<string, unknown>>) => void = () => undefined,
  signal?: AbortSignal,
): Promise<SpawnedPlatform> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'main.ts')], {
    env: { ...process.env, NODE_OPTIONS: '', PORT: '0', LOG_FORMAT: 'json', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C reaches this program alone, which then ends the platform in order.
    detached: true,
  })
  let asked = false
  const end = () => {
    // A second signal would end it at once.
    if (!asked) child.kill('SIGTERM')
    asked = true
  }
  process.once('exit', end)
  signal?.addEventListener('abort', end)
  child.once('close', () => {
    process.off('exit', end)
    signal?.removeEventListener('abort', end)
  })
  if (signal?.aborted) end()
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const giveUp = (reason: string) => {
      const failure = output.match(failureLine)?.at(-1)
      reject(new Failure('PLATFORM_NOT_STARTED', { reason, ...(failure && { failure }) }, new Error(output)))
    }
    const timer = setTimeout(() => {
      end()
      giveUp(`it was not up after ${startMsMax / 1000} s`)
    }, startMsMax)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      giveUp(`it ended with ${code ?? signal} before it was up`)
    })
    createInterface({ input: child.stderr }).on('line', (line) => {
      output += `${line}\n`
    })
    createInterface({ input: child.stdout }).on('line', (text) => {
      output += `${text}\n`
      const line = readLine(text)
      onLine(line)
      if (typeof line.graphql !== 'string') return
      clearTimeout(timer)
      resolve(line.graphql.replace(/\/graphql$/, ''))
    })
  })
  return {
    url,
    process: child,
    output: () => output,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      const closed = once(child, 'close')
      end()
      const [code] = await closed
      return code
    },
  }
}

const readLine = (text: string): Record<string, unknown> => (parseJson(text) ?? {}) as Record<string, unknown>

/** A platform that answers at `url`. `close` stops it when `reachPlatform` has started it. */
export type ReachedPlatform = { readonly url: string; readonly started: boolean; close(): Promise<void> }

/** Resolves to the platform that runs at `url`, or starts one with these settings. `onLine` gets the start line by
 *  line. When `signal` aborts before the platform is up, it ends it; afterwards `close` does. Throws PLATFORM_NOT_READY
 *  for one that runs there and answers so, PLATFORM_NOT_STARTED. */
export const reachPlatform = async (
  url: string,
  settings: Readonly<Record<string, string>>,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<ReachedPlatform> => {
  if (await isReady(url)) return { url, started: false, close: async () => undefined }
  const onLogLine = ({ msg, part, ms, isolation }: Readonly<Record<string, unknown>>) => {
    if (msg === 'ready') onLine(`${part} ready after ${ms} ms`)
    if (isolation !== undefined) onLine(`jobs: ${msg}`)
  }
  const starting = new AbortController()
  const giveUp = () => starting.abort()
  signal.addEventListener('abort', giveUp)
  if (signal.aborted) giveUp()
  const platform = await spawnPlatform(settings, onLogLine, starting.signal).finally(() =>
    signal.removeEventListener('abort', giveUp),
  )
  return {
    url: platform.url,
    started: true,
    close: async () => {
      await platform.stop()
    },
  }
}

/** Resolves to whether a platform answers at `url`. Throws PLATFORM_NOT_READY, with what is not, when it is not ready. */
const isReady = async (url: string): Promise<boolean> => {
  let answer: unknown
  try {
    const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(answerMsMax) })
    if (response.ok) return true
    answer = parseJson(await response.text())
  } catch {
    return false
  }
  const { ready, parts } = (answer ?? {}) as { readonly ready?: unknown; readonly parts?: unknown }
  if (ready !== false) return false
  throw new Failure('PLATFORM_NOT_READY', { url, parts: JSON.stringify(parts) })
}
