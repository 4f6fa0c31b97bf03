import {
  currentBootId,
  type ProcessEntry,
  type ProcessIdentity,
  readProcesses,
  readProcessFile,
} from '../../system/processes.ts'

/** All processes at one moment. `folder` is the attempt that a process says it belongs to; it is read when first asked. */
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

/** Returns all processes of this machine that this user may see, each with its folder, which is read when first asked for. */
export const readProcessTable = (): ProcessTable =>
  readProcesses().map((entry) => ({ ...entry, folder: once(() => folderOf(entry.pid)) }))

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
  pids.reduce((sum, pid) => sum + kibibytes(readProcessFile(pid, 'status'), 'VmRSS'), 0) / 1024

/** The same with shared pages divided among those who share them: exact, but the kernel walks every page for it. */
export const proportionalMib = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const exact = readProcessFile(pid, 'smaps_rollup')
    return sum + (exact ? kibibytes(exact, 'Pss') : kibibytes(readProcessFile(pid, 'status'), 'VmRSS'))
  }, 0) / 1024
