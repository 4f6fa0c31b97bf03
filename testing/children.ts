import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

export type Child = {
  readonly process: ChildProcess
  /** The first line that the child prints; throws with what it said when it ends without one. */
  readonly firstLine: Promise<string>
  /** Exit code and everything printed, once it has ended. */
  readonly ended: Promise<{ code: number | null; output: string }>
  kill(): Promise<void>
}

/** Runs code in a Node process of its own, which may import TypeScript files. */
export const runChild = (code: string, options: { cwd?: string; env?: Record<string, string> } = {}): Child => {
  const { cwd, env } = options
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  let output = ''
  const firstLine = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve)
    child.stdout.on('data', (chunk: Buffer) => {
      output += String(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      output += String(chunk)
    })
    child.once('close', (exit) => reject(new Error(`the child ended with ${exit} before it said anything: ${output}`)))
  })
  firstLine.catch(() => undefined)
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return {
    process: child,
    firstLine,
    ended,
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** True when a process with this pid runs; a zombie does not. */
export const runs = async (pid: number): Promise<boolean> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return stat !== undefined && stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z'
}

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
