import {
  currentBootId,
  type ProcessEntry,
  type ProcessIdentity,
  readProcesses,
  readProcessFile,
} from '../../system/processes.ts'

/** All processes at one moment. `folder` is the attempt in a process's environment; it is read at the first call. */
export type ProcessTable = readonly (ProcessEntry & { readonly folder: () => string | undefined })[]

/** The variable that every process of an attempt carries: the attempt's folder, unique on this machine. */
export const folderVariable = 'NEURALMESH_FOLDER'

const folderOf = (pid: number): string | undefined =>
  readProcessFile(pid, 'environ')
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

/** Returns all processes of this machine that this user may see. */
export const readProcessTable = (): ProcessTable =>
  readProcesses().map((entry) => ({ ...entry, folder: once(() => folderOf(entry.pid)) }))

/** Returns the processes of an attempt that run: the session of its first process, all that carry its folder in their
 *  environment, and the descendants of both. The environment shows processes that have left their session and their
 *  parents. */
export const processesOf = (table: ProcessTable, folder: string, first: ProcessIdentity | undefined): number[] => {
  const own = first?.bootId === currentBootId() ? first : undefined
  // Without its living leader a session number may have been given out again, and then names the session of another
  // program.
  const session = table.some((entry) => entry.pid === own?.pid && entry.startTime === own.startTime)
    ? own?.pid
    : undefined
  // No process of the job is older than its first one, so that most environments need not be read.
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
  Number.parseInt(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1) ?? '0',
    10,
  )

/** Returns the memory of these processes, in MiB. Shared pages count once for each process: fast, and never too
 *  little. */
export const residentMib = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + kibibytes(readProcessFile(pid, 'status'), 'VmRSS'), 0) / 1024

/** Returns the memory of these processes, in MiB, with shared pages divided among their processes: exact, but slow,
 *  because the kernel visits every page. */
export const proportionalMib = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const exact = readProcessFile(pid, 'smaps_rollup')
    return sum + (exact ? kibibytes(exact, 'Pss') : kibibytes(readProcessFile(pid, 'status'), 'VmRSS'))
  }, 0) / 1024
