import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A platform to talk to. `close` stops it when it was started for this. */
export type ReachedPlatform = { readonly url: string; readonly started: boolean; close(): Promise<void> }

const startMsMax = 60_000
const answerMsMax = 2_000

/** The platform that runs at `url`, or one that is started for this and ended with it. `heard` gets its start line by line. */
export const reachPlatform = async (url: string, heard: (line: string) => void): Promise<ReachedPlatform> => {
  if (await answers(url)) return { url, started: false, close: async () => undefined }
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'main.ts')], {
    env: { ...process.env, PORT: '0', LOG_FORMAT: 'json' },
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C reaches this program alone, which then ends the platform in order.
    detached: true,
  })
  const stop = () => child.kill('SIGTERM')
  process.once('exit', stop)
  const graphql = await addressOf(child, heard)
  return {
    url: graphql.replace(/\/graphql$/, ''),
    started: true,
    close: async () => {
      process.off('exit', stop)
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      stop()
      await exited
    },
  }
}

const answers = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(answerMsMax) })
    return response.ok
  } catch {
    return false
  }
}

/** Reads the log of a starting platform until it tells its address. Throws when it ends before, or takes too long. */
const addressOf = (child: ChildProcess, heard: (line: string) => void): Promise<string> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGTERM')
      reject(new Error(`The platform was not up after ${startMsMax / 1000} s.`))
    }, startMsMax)
    const settle = (act: () => void) => {
      clearTimeout(timer)
      act()
    }
    child.once('exit', (code) =>
      settle(() => reject(new Error(`The platform ended with exit code ${code} before it was up.`))),
    )
    if (!child.stdout) return
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { part, msg, ms, graphql } = readLine(line)
      if (graphql) settle(() => resolve(graphql))
      else if (msg === 'ready') heard(`${part} ready after ${ms} ms`)
    })
  })

const readLine = (line: string): { part?: string; msg?: string; ms?: number; graphql?: string } => {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
