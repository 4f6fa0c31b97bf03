import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { readProcess } from '../infra/system/processes.ts'

export type Child = {
  readonly process: ChildProcess
  /** The first line that the child prints. Throws, with all that it printed, when it ends without a line. */
  readonly firstLine: Promise<string>
  /** Returns everything printed until now. */
  output(): string
  /** Resolves to the exit code and everything printed, once the child has ended. */
  readonly ended: Promise<{ code: number | null; output: string }>
  kill(): Promise<void>
}

/** Returns the words before a command that run it as the first process of its own pid, IPC and mount namespace, as a
 *  container does; undefined where this machine allows none. */
export const enterNamespace = (): readonly string[] | undefined => {
  const own = ['--pid', '--fork', '--kill-child', '--mount-proc', '--ipc', '--']
  return [
    ['unshare', ...own],
    ['unshare', '--user', '--map-root-user', ...own],
  ].find(([program = '', ...args]) => spawnSync(program, [...args, 'true']).status === 0)
}

/** Starts code in its own Node process. The code may import TypeScript files.
 *  @param options `enter` are the words of enterNamespace. */
export const runChild = (
  code: string,
  options: { cwd?: string; env?: Record<string, string>; enter?: readonly string[] | undefined } = {},
): Child => {
  const { cwd, env, enter = [] } = options
  const [program = '', ...args] = [...enter, process.execPath, '--input-type=module', '-e', code]
  const child = spawn(program, args, {
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
    child.once('close', (exit) => reject(new Error(`the child ended with ${exit} before it printed a line: ${output}`)))
  })
  firstLine.catch(() => undefined)
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return {
    process: child,
    firstLine,
    output: () => output,
    ended,
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** What a program has printed, and its exit code. */
export type Ended = {
  readonly code: number | null
  /** Its standard output. */
  readonly output: string
  /** Its error output. */
  readonly errors: string
  /** Both, in the order in which they came. */
  readonly printed: string
}

/** Runs Node with these arguments until it ends, in the root of the project and with nothing but `env` set for the
 *  platform.
 *  @param onOutput gets the standard output as it grows, and can press Ctrl-C. */
export const runNode = async (
  given: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onOutput: (output: string, interrupt: () => void) => void = () => undefined,
): Promise<Ended> => {
  const child = spawn(process.execPath, given, {
    cwd: join(import.meta.dirname, '..'),
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: '', EVENTSTORE_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { output: '', errors: '', printed: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed.output += text
    printed.printed += text
    onOutput(printed.output, () => child.kill('SIGINT'))
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed.errors += text
    printed.printed += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...printed }
}

/** Returns true when a process with this pid runs. A zombie does not. */
export const isRunning = (pid: number): boolean => readProcess(pid)?.over === false
