/** What Linux tells about processes under /proc, and which of them belong to a job. */
import { readdirSync, readFileSync } from 'node:fs'

/** Names one process for ever: a number given out again has another start time, or another boot.
 *  `startTime` is field 22 of /proc/<pid>/stat: clock ticks since the machine started. */
export type ProcessIdentity = { readonly pid: number; readonly startTime: number; readonly bootId: string }

export type ProcessEntry = {
  readonly pid: number
  readonly parent: number
  readonly session: number
  readonly startTime: number
  /** Ended, and only waits for its parent to notice. */
  readonly over: boolean
}

/** All processes at one moment. `folder` is the attempt that a process says it belongs to; it is read when first asked. */
export type ProcessTable = readonly (ProcessEntry & { readonly folder: () => string | undefined })[]

/** The variable that every process of an attempt carries: the attempt's folder, unique on this machine. */
export const folderVariable = 'NEURALMESH_FOLDER'

/** One line of /proc/<pid>/stat. The program's name, in parentheses, may itself hold spaces and parentheses. */
export const parseStat = (text: string): ProcessEntry | undefined => {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, parent, , session] = fields
  const [pid, startTime] = [Number.parseInt(text, 10), Number(fields[19])]
  if (state === undefined || !Number.isInteger(pid) || !Number.isInteger(startTime)) return undefined
  return { pid, parent: Number(parent), session: Number(session), startTime, over: state === 'Z' || state === 'X' }
}

const readOr = (path: string, otherwise: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise // the process ended meanwhile, or is not ours to read
  }
}

const readEntry = (pid: number): ProcessEntry | undefined => parseStat(readOr(`/proc/${pid}/stat`, ''))

const folderOf = (pid: number): string | undefined =>
  readOr(`/proc/${pid}/environ`, '')
    .split('\0')
    .find((variable) => variable.startsWith(`${folderVariable}=`))
    ?.slice(folderVariable.length + 1)

const once = <Value>(read: () => Value): (() => Value) => {
  let known: { value: Value } | undefined
  return () => {
    known ??= { value: read() }
    return known.value
  }
}

/** All processes of this machine that may be seen. Reads one small file each, about 10 µs. */
export const readProcessTable = (): ProcessTable =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readEntry(Number(name)))
    .filter((entry) => entry !== undefined)
    .map((entry) => ({ ...entry, folder: once(() => folderOf(entry.pid)) }))

export const currentBootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** True while exactly this process runs. One that ended and was not collected yet does not. */
export const isAlive = (identity: ProcessIdentity): boolean => {
  if (identity.bootId !== currentBootId()) return false
  const entry = readEntry(identity.pid)
  return entry !== undefined && !entry.over && entry.startTime === identity.startTime
}

/** The processes of an attempt that still run: the session of its first process, all their descendants, and all that carry
 *  its folder in their environment, so that one which left its session and its parents is found as well. */
export const processesOf = (table: ProcessTable, folder: string, first: ProcessIdentity | undefined): number[] => {
  const own = first?.bootId === currentBootId() ? first : undefined
  // Without its living leader a session number may have been given out again, and then names a stranger's.
  const session = table.some((entry) => entry.pid === own?.pid && entry.startTime === own.startTime)
    ? own?.pid
    : undefined
  // Nothing of the job is older than its first process: this spares reading nearly every environment.
  const candidates = table.filter((entry) => !entry.over && entry.startTime >= (own?.startTime ?? 0))
  const members = new Set(
    candidates.filter((entry) => entry.session === session || entry.folder() === folder).map(({ pid }) => pid),
  )
  for (let before = -1; before !== members.size; ) {
    before = members.size
    for (const entry of candidates) if (members.has(entry.parent)) members.add(entry.pid)
  }
  return [...members]
}

const kibibytes = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)

/** What these processes hold in memory, in MiB. Shared pages count once for each process: fast, and never too little. */
export const residentMib = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + kibibytes(readOr(`/proc/${pid}/status`, ''), 'VmRSS'), 0) / 1024

/** The same with shared pages divided among those who share them: exact, but the kernel walks every page for it. */
export const proportionalMib = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const exact = readOr(`/proc/${pid}/smaps_rollup`, '')
    return sum + (exact ? kibibytes(exact, 'Pss') : kibibytes(readOr(`/proc/${pid}/status`, ''), 'VmRSS'))
  }, 0) / 1024
