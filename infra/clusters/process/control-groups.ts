/** The control group of an attempt, where one is delegated to this program: Linux itself limits its memory and its
 *  processes, lists them, and ends or stops all of them at once. The command and all that it starts are in it; the wrapper is
 *  not, so that it outlives the end of the group. */
import { constants } from 'node:fs'
import { readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { sleep } from '../../async/sleep.ts'
import { errorCode } from '../../system/errors.ts'
import { exists } from '../../system/files.ts'
import { parseJson } from '../../system/json.ts'
import { isRunning, sendSignal } from '../../system/processes.ts'
import { findGroupMounts, type Hierarchy, hierarchies, keptBytes, numberIn } from './group-places.ts'
import { readPlainFile, smallBytesMax } from './reading.ts'
import type { Members } from './table.ts'

/** The file of an attempt that names the folders of its group. */
export const groupsFileName = 'groups.json'
const mebibyte = 1024 ** 2
const pollMs = 5
const freezeMsMax = 1_000
const removeMsMax = 2_000

/** The folder of a group in each tree that it is in. */
export type GroupFolders = { readonly [hierarchy in Hierarchy]?: string | undefined }

const foldersSchema = z.object({
  unified: z.string().optional(),
  memory: z.string().optional(),
  pids: z.string().optional(),
  freezer: z.string().optional(),
})

/** Returns the folders of a group. */
export const foldersOf = (folders: GroupFolders): string[] =>
  Object.values(folders).filter((path) => path !== undefined)

/** Moves itself into groups, then becomes the command: sh -c ENTER sh <folder…> -- <command…>. Where it cannot, the
 *  command runs all the same: what runs without a group is measured without one. */
const ENTER = `
while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done 2> /dev/null
shift
exec "$@"
`

/** Returns the words before a command that put it into these groups. */
export const enterWords = (folders: GroupFolders): readonly string[] => {
  const paths = foldersOf(folders)
  return paths.length === 0 ? [] : ['/bin/sh', '-c', ENTER, 'sh', ...paths, '--']
}

export type Group = {
  /** The words before the command that put it into the group. */
  readonly enter: readonly string[]
  readonly limitsMemory: boolean
  readonly freezes: boolean
  /** Resolves to the processes that were in it just now. */
  listed(): Promise<readonly number[]>
  /** Resolves to those that still run. */
  pids(): Promise<readonly number[]>
  /** Resolves to what they hold that Linux cannot take back, in MiB; undefined where the group does not count it. */
  usedMib(): Promise<number | undefined>
  /** Resolves to whether Linux has ended one of them because the group reached its limit. */
  wasOverLimit(): Promise<boolean>
  /** Stops all of them at once, until `thaw`. Resolves to false when some still run after a second. */
  freeze(): Promise<boolean>
  thaw(): Promise<void>
  /** Ends all of them at once, whatever they start meanwhile. */
  kill(): Promise<void>
  /** Removes it, if none runs in it. Resolves to false when it is still there. */
  remove(): Promise<boolean>
}

/** Resolves to the text of a file of Linux; to an empty one where it cannot be read. */
export const readGroupFile = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
/** Writes to a file of Linux, some of which may only be written. */
export const writeGroupFile = (path: string, text: string): Promise<boolean> =>
  writeFile(path, text, { flag: constants.O_WRONLY }).then(
    () => true,
    () => false,
  )

/** Removes the folder of a group, if no process is in it. Resolves to false when it is still there. Linux takes a moment to let go of processes that have ended. */
export const removeGroupFolder = async (path: string): Promise<boolean> => {
  for (const giveUpAt = performance.now() + removeMsMax; ; await sleep(pollMs)) {
    const code = await rmdir(path).then(
      () => undefined,
      (error: unknown) => errorCode(error),
    )
    if (code === undefined || code === 'ENOENT') return true
    if (code !== 'EBUSY' || performance.now() > giveUpAt || (await readGroupFile(join(path, 'cgroup.procs'))) !== '')
      return false
  }
}

/** Resolves to the group of an attempt in these folders. */
export const openGroup = async (folder: string, folders: GroupFolders): Promise<Group> => {
  const { unified, memory, pids, freezer } = folders
  const has = async (path: string | undefined, name: string) => path !== undefined && exists(join(path, name))
  const [isNew, canKill, canFreeze] = await Promise.all(
    ['memory.max', 'cgroup.kill', 'cgroup.freeze'].map((name) => has(unified, name)),
  )
  const memoryFolder = isNew ? unified : memory
  const list = unified ?? memory ?? pids ?? freezer ?? ''
  const in2 = (name: string) => join(unified ?? '', name)
  const in1 = (name: string) => join(freezer ?? '', name)

  const readList = async () => (await readGroupFile(join(list, 'cgroup.procs'))).split('\n').filter(Boolean).map(Number)
  const running = async () => (await readList()).filter(isRunning)
  const isFrozen = async () =>
    canFreeze
      ? numberIn(await readGroupFile(in2('cgroup.events')), 'frozen') === 1
      : (await readGroupFile(in1('freezer.state'))).trim() === 'FROZEN'
  const freezes = canFreeze || freezer !== undefined
  const freeze = async () => {
    if (
      !freezes ||
      !(await (canFreeze ? writeGroupFile(in2('cgroup.freeze'), '1') : writeGroupFile(in1('freezer.state'), 'FROZEN')))
    )
      return false
    for (const giveUpAt = performance.now() + freezeMsMax; performance.now() < giveUpAt; await sleep(pollMs))
      if (await isFrozen()) return true
    return false
  }
  const thaw = async () => {
    if (canFreeze) await writeGroupFile(in2('cgroup.freeze'), '0')
    else if (freezer !== undefined) await writeGroupFile(in1('freezer.state'), 'THAWED')
  }

  return {
    enter: enterWords(folders),
    limitsMemory: memoryFolder !== undefined,
    freezes,
    listed: readList,
    pids: running,
    async usedMib() {
      return memoryFolder === undefined
        ? undefined
        : keptBytes(await readGroupFile(join(memoryFolder, 'memory.stat'))) / mebibyte
    },
    async wasOverLimit() {
      if (memoryFolder === undefined) return false
      const at = (name: string) => readGroupFile(join(memoryFolder, name))
      const events = await at(isNew ? 'memory.events' : 'memory.oom_control')
      if (numberIn(events, 'oom_kill') === 0) return false
      // Where the machine itself had no memory left, the group did not reach its limit.
      if (isNew) return numberIn(events, 'oom') > 0
      const [most, limit] = [await at('memory.max_usage_in_bytes'), await at('memory.limit_in_bytes')].map(Number)
      return (most ?? 0) + mebibyte > (limit ?? 0)
    },
    freeze,
    thaw,
    async kill() {
      if (canKill && (await writeGroupFile(in2('cgroup.kill'), '1'))) return
      if (!freezes) return
      await freeze()
      for (const pid of await running()) sendSignal(pid, 'SIGKILL')
      // Those of version 1 end once they go on.
      await thaw()
    },
    async remove() {
      await thaw()
      const paths = foldersOf(folders)
      const removed = await Promise.all(paths.map(removeGroupFolder))
      if (!removed.every(Boolean)) return false
      await rm(join(folder, groupsFileName), { force: true, recursive: true })
      return true
    },
  }
}

/** Returns how the name of the group of an attempt ends. */
export const endOfName = (folder: string): string => `.${basename(dirname(folder))}.${basename(folder)}`

/** Resolves to the group of an attempt, which this program or an earlier one has made; undefined where there is none. A job
 *  without walls may have written the file: only folders with its name in trees of groups count. */
export const findGroup = async (folder: string): Promise<Group | undefined> => {
  const stored = await readPlainFile(join(folder, groupsFileName), smallBytesMax)
  const parsed = stored && foldersSchema.safeParse(parseJson(stored.text)).data
  if (!parsed) return undefined
  const mountinfo = await readGroupFile('/proc/self/mountinfo')
  const found: { [hierarchy in Hierarchy]?: string } = {}
  for (const hierarchy of hierarchies) {
    const path = parsed[hierarchy]
    if (path === undefined || path.split('/').includes('..') || !path.endsWith(endOfName(folder))) continue
    const isBelow = findGroupMounts(mountinfo, hierarchy).some(({ at }) => path.startsWith(`${at}/`))
    if (isBelow && (await exists(path))) found[hierarchy] = path
  }
  return Object.keys(found).length === 0 ? undefined : openGroup(folder, found)
}

/** Returns these processes together with those in the group. */
export const withGroup = async ({ wrapper, job }: Members, group: Group | undefined): Promise<Members> => {
  if (!group) return { wrapper, job }
  return { wrapper, job: [...new Set([...job, ...(await group.pids())])] }
}
