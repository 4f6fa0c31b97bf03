/** What Linux shows of processes under /proc. Reading is synchronous, and only fit for what costs Linux about 10 µs
 *  whatever the process does: stat and status. The process decides the size of its environment, its mappings and its open
 *  files, and how long Linux takes to show them; those of jobs are read by clusters/process/kernel-files.ts. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readlink } from 'node:fs/promises'
import { basename, sep } from 'node:path'

/** Names one process forever: a pid that was given out again has another start time, or another boot. `startTime` is
 *  field 22 of /proc/<pid>/stat: clock ticks since the machine started. */
export type ProcessIdentity = { readonly pid: number; readonly startTime: number; readonly bootId: string }

export type ProcessEntry = {
  readonly pid: number
  readonly parent: number
  readonly session: number
  /** As in ProcessIdentity. */
  readonly startTime: number
  /** True for a zombie, which has ended and waits for its parent to collect it. Where its first thread alone has, the
   *  process runs on. */
  readonly over: boolean
  /** Where Linux has put the program, its arguments and its environment: it changes with each program that the process
   *  begins. Zeros where this user may not see it. */
  readonly image: string
}

/** Parses the line in /proc/<pid>/stat. Returns undefined for any other text. */
export const parseStat = (text: string): ProcessEntry | undefined => {
  // The program's name, in parentheses, may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, parent, , session] = fields
  const [pid, startTime] = [Number.parseInt(text, 10), Number(fields[19])]
  if (state === undefined || !Number.isInteger(pid) || !Number.isInteger(startTime)) return undefined
  const over = (state === 'Z' || state === 'X') && !(Number(fields[17]) > 1)
  const image = [23, 25, 45, 46, 47, 48].map((place) => fields[place]).join()
  return { pid, parent: Number(parent), session: Number(session), startTime, over, image }
}

/** Returns whether this user sees where Linux has put the program of a process. */
export const isShown = ({ image }: Pick<ProcessEntry, 'image'>): boolean => /[1-9]/.test(image)

/** Reads /proc/<pid>/<name>. Returns an empty text when the process has ended or the file may not be read. */
export const readProcessFile = (pid: number, name: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

/** Returns the process with this pid, a zombie too; undefined when there is none. */
export const readProcess = (pid: number): ProcessEntry | undefined => parseStat(readProcessFile(pid, 'stat'))

/** Returns true while this process is stopped, by SIGSTOP or a debugger: then it handles no signal but SIGKILL and
 *  SIGCONT. */
export const isStopped = (pid: number): boolean => /^State:\s*[Tt]/m.test(readProcessFile(pid, 'status'))

/** Returns the id that Linux gave to this run of the machine. */
export const currentBootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** Returns true while a process with this pid runs. A zombie does not. */
export const isRunning = (pid: number): boolean => readProcess(pid)?.over === false

/** Returns the real user of a process; undefined where it has ended. */
export const userOf = (pid: number): number | undefined => {
  const found = /^Uid:\s*(\d+)/m.exec(readProcessFile(pid, 'status'))?.[1]
  return found === undefined ? undefined : Number(found)
}

/** Sends a signal to a process, or to a group by its negative number; it is no error when that has ended. */
export const sendSignal = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself.
  }
}

/** Returns the identity of the process that has this pid now. It is that of no process where none has. */
export const identityOf = (pid: number): ProcessIdentity => ({
  pid,
  startTime: readProcess(pid)?.startTime ?? 0,
  bootId: currentBootId(),
})

/** Returns the identity of this process. */
export const ownIdentity = (): ProcessIdentity => identityOf(process.pid)

/** Returns the name of the pid namespace of this process, such as `pid:[4026531836]`; undefined where /proc shows the
 *  processes of another one, and so not those that this process could name. */
export const pidNamespace = (): string | undefined => {
  try {
    return readlinkSync('/proc/self') === String(process.pid) ? readlinkSync('/proc/self/ns/pid') : undefined
  } catch {
    return undefined
  }
}

/** A tick of /proc/<pid>/stat, which is the same on every Linux: a hundred a second. */
const tickMs = 10

/** Returns how long a process of this run of the machine has run, in milliseconds, whatever the wall clock is set to. */
export const ageMs = ({ startTime }: Pick<ProcessIdentity, 'startTime'>): number =>
  process.uptime() * 1000 + ((readProcess(process.pid)?.startTime ?? startTime) - startTime) * tickMs

/** Returns true while exactly this process runs. A zombie does not. */
export const isAlive = ({ pid, startTime, bootId }: ProcessIdentity): boolean => {
  if (bootId !== currentBootId()) return false
  const entry = readProcess(pid)
  return entry !== undefined && !entry.over && entry.startTime === startTime
}

/** Resolves to the pids of the processes that run one of these programs with their working folder at or below `folder`.
 *  Processes of other users may be missing. */
export const processesIn = async (folder: string, programs: readonly string[]): Promise<number[]> => {
  const found = await Promise.all(
    allPids().map(async (pid) => {
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
      if (cwd !== folder && !cwd?.startsWith(folder + sep)) return undefined
      const program = await readlink(`/proc/${pid}/exe`).catch(() => undefined)
      return program !== undefined && programs.includes(basename(program.replace(/ \(deleted\)$/, '')))
        ? pid
        : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}

/** Returns the pids of all processes of this machine that this user may see. */
export const allPids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
