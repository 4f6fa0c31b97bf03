import { createBreather } from '../../async/breather.ts'
import {
  allPids,
  currentBootId,
  type ProcessEntry,
  type ProcessIdentity,
  readProcess,
  userOf,
} from '../../system/processes.ts'
import type { IsolationKind } from './isolation.ts'
import { createKernelReader } from './kernel-files.ts'

/** All processes at one moment. `folder` is the attempt in a process's environment, `uid` the user that it runs as; each
 *  is read at the first call. */
export type ProcessTable = readonly (ProcessEntry & {
  readonly folder: () => Promise<string | undefined>
  readonly uid: () => number
})[]

/** What its processes are found by. */
export type AttemptIdentity = {
  readonly folder: string
  readonly kind: IsolationKind
  readonly uid: number | undefined
  readonly first: ProcessIdentity | undefined
}

/** The running processes of an attempt: the wrapper's own (its session), and those of the job. */
export type Members = { readonly wrapper: readonly number[]; readonly job: readonly number[] }

/** The variable that names the attempt's folder to its processes. A job may change it or name another one, so it counts
 *  only where nothing isolates jobs. */
export const folderVariable = 'NEURALMESH_FOLDER'

/** An environment that Linux lets a program start with is smaller. */
const environmentBytesMax = 8 * 1024 ** 2

/** Returns the attempt that an environment names, as /proc shows it, each byte a character. */
export const folderIn = (environment: string): string | undefined => {
  const found = environment.split('\0').find((one) => one.startsWith(`${folderVariable}=`))
  // The bytes of the path: a folder may have any name.
  return found && Buffer.from(found.slice(folderVariable.length + 1), 'latin1').toString('utf8')
}

const folderOf = async (pid: number): Promise<string | undefined> => {
  const read = await createKernelReader().text(`/proc/${pid}/environ`, environmentBytesMax)
  return 'value' in read ? folderIn(read.value) : undefined
}

const once = <Value>(read: () => Value): (() => Value) => {
  let known: { value: Value } | undefined
  return () => {
    known ??= { value: read() }
    return known.value
  }
}

/** Resolves to all processes of this machine that this user may see. */
export const readProcessTable = async (): Promise<ProcessTable> => {
  const breathe = createBreather()
  const table: ProcessTable[number][] = []
  for (const pid of allPids()) {
    await breathe()
    const entry = readProcess(pid)
    if (entry) table.push({ ...entry, folder: once(() => folderOf(pid)), uid: once(() => userOf(pid) ?? Number.NaN) })
  }
  return table
}

/** Returns a reader of all processes that gives what it began to read at most `maxAgeMs` ago. One read at a time: all
 *  that ask during one share the next. */
export const createTableReader = (
  read: () => Promise<ProcessTable> = readProcessTable,
): ((maxAgeMs: number) => Promise<ProcessTable>) => {
  let begunAtMs = Number.NEGATIVE_INFINITY
  let latest: Promise<ProcessTable> = Promise.resolve([])
  let next: Promise<ProcessTable> | undefined
  const readNext = () => {
    begunAtMs = performance.now()
    next = undefined
    latest = read()
    return latest
  }
  return (maxAgeMs) => {
    if (performance.now() - begunAtMs < maxAgeMs) return latest
    next ??= latest.then(readNext, readNext)
    return next
  }
}

/** Resolves to the processes of an attempt that run. They are the descendants of its first process, which in a process table
 *  of its own no process can leave; those of its user, where it has one of its own; and where nothing isolates it, those
 *  that carry its folder in their environment. */
export const membersOf = async (
  table: ProcessTable,
  { folder, kind, uid, first }: AttemptIdentity,
): Promise<Members> => {
  const own = first?.bootId === currentBootId() ? first : undefined
  // Without its living leader a session number may have been given out again, and then names the session of another
  // program, whose processes do not carry the folder. A process of a job that does has only itself to lose.
  const led = table.some((entry) => entry.pid === own?.pid && entry.startTime === own.startTime)
  const ofWrapper = async (entry: ProcessTable[number]) =>
    entry.session === own?.pid && (led || (await entry.folder()) === folder)
  // No process of the job is older than its first one, so that most processes need not be looked at.
  const candidates = table.filter((entry) => !entry.over && entry.startTime >= (own?.startTime ?? 0))
  const wrapper = new Set<number>()
  for (const entry of candidates) if (await ofWrapper(entry)) wrapper.add(entry.pid)
  const marked = async (entry: ProcessTable[number]) =>
    (uid !== undefined && entry.uid() === uid) || (kind === 'none' && (await entry.folder()) === folder)
  const all = new Set(wrapper)
  const breathe = createBreather()
  for (const entry of candidates) {
    await breathe()
    if (await marked(entry)) all.add(entry.pid)
  }
  for (let before = -1; before !== all.size; ) {
    before = all.size
    for (const entry of candidates) if (all.has(entry.parent)) all.add(entry.pid)
  }
  return { wrapper: [...wrapper], job: [...all].filter((pid) => !wrapper.has(pid)) }
}
