/** Makes the control groups of attempts with their limits, and removes them. */
import { lstat, readdir, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { basename, join } from 'node:path'
import { exists, makeFolders } from '../../system/files.ts'
import type { JobOutcome, JobSpec } from '../port.ts'
import {
  endOfName,
  findGroup,
  foldersOf,
  type Group,
  type GroupFolders,
  groupsFileName,
  openGroup,
  readGroupFile,
  removeGroupFolder,
  writeGroupFile,
} from './control-groups.ts'
import { storeVerdict } from './folder.ts'
import { numberIn } from './group-places.ts'
import { processesMax } from './limits.ts'
import { readLaunch } from './reading.ts'

/** The limit of the group is so much above that of the job: what the platform measures, with its reason, comes first. */
const slackPart = 8
const slackMib = 32
/** The programs that build the walls of a job are in its group too. */
const processesOfWalls = 32
const mebibyte = 1024 ** 2
const namePattern = /^neuralmesh-[0-9a-f]{8}\./
const forsakenMsMin = 600_000
const endPattern = /^\.(.+)\.(\d+)$/

/** Returns the limit of memory of an attempt's group in bytes; undefined where its job may have all of the machine. */
export const groupMemoryBytes = (memoryMib: number, machineBytes = totalmem()): number | undefined => {
  const bytes = Math.ceil(memoryMib * (1 + 1 / slackPart) + slackMib) * mebibyte
  return bytes < machineBytes ? bytes : undefined
}

const setLimits = async ({ unified, memory, pids }: GroupFolders, { memoryMib }: JobSpec): Promise<string[]> => {
  const failed: string[] = []
  const set = async (folder: string | undefined, name: string, value: number, needed = true) => {
    if (folder === undefined || !(await exists(join(folder, name)))) return
    if (!(await writeGroupFile(join(folder, name), String(value))) && needed) failed.push(name)
  }
  const bytes = groupMemoryBytes(memoryMib)
  if (bytes !== undefined) {
    await set(unified, 'memory.max', bytes)
    await set(unified, 'memory.swap.max', 0, false)
    await set(memory, 'memory.limit_in_bytes', bytes)
    await set(memory, 'memory.memsw.limit_in_bytes', bytes, false)
  }
  await set(unified, 'memory.oom.group', 1, false)
  for (const folder of [unified, pids]) await set(folder, 'pids.max', processesMax + processesOfWalls)
  return failed
}

/** Makes the group of an attempt with its limits below these folders. Never throws: where it cannot, that is logged, and
 *  the attempt runs without one. */
export const makeGroup = async (
  folder: string,
  {
    spec,
    prefix,
    below,
    log,
  }: {
    readonly spec: JobSpec
    readonly prefix: string
    readonly below: GroupFolders
    readonly log: { warn(details: object, message: string): void }
  },
): Promise<Group | undefined> => {
  if (Object.keys(below).length === 0) return undefined
  try {
    const known = await findGroup(folder)
    if (known) return known
    const name = prefix + endOfName(folder)
    const folders: GroupFolders = Object.fromEntries(
      Object.entries(below).map(([hierarchy, path]) => [hierarchy, join(String(path), name)]),
    )
    await writeFile(join(folder, groupsFileName), JSON.stringify(folders), { mode: 0o600 })
    for (const path of foldersOf(folders)) await makeFolders(path)
    const failed = await setLimits(folders, spec)
    if (failed.length > 0) log.warn({ folder, failed }, 'the control group of a job does not take its limits')
    return await openGroup(folder, folders)
  } catch (error) {
    log.warn({ folder, err: error }, 'a job runs without a control group: it cannot be made')
    return undefined
  }
}

/** Removes the group of an attempt that has ended. Where Linux has ended processes because it reached its limit, that is the
 *  verdict, and no exit code. Resolves to false when it is still there. */
export const settleGroup = async (
  folder: string,
  { memoryMib }: Pick<JobSpec, 'memoryMib'>,
  group: Group,
): Promise<boolean> => {
  if (await group.wasOverLimit()) await storeVerdict(folder, overGroupLimit(memoryMib))
  return group.remove()
}

/** Resolves to whether a group of another cluster may go, if it is empty: its folder may have been deleted. One of which
 *  Linux has ended a process waits for its platform, and so does one that is new. */
const isForsaken = async (group: string): Promise<boolean> => {
  if (!namePattern.test(basename(group))) return false
  const made = await lstat(group).catch(() => undefined)
  if (!made || Date.now() - made.mtimeMs < forsakenMsMin) return false
  const events = await Promise.all(
    ['memory.events', 'memory.oom_control'].map((name) => readGroupFile(join(group, name))),
  )
  return events.every((text) => numberIn(text, 'oom_kill') === 0)
}

/** Removes the groups of attempts that have ended and are not watched, and those whose attempt is gone or has lost
 *  its file. Resolves to how many are still there. */
export const removeEndedGroups = async (
  { prefix, below }: { readonly prefix: string; readonly below: GroupFolders },
  ended: readonly string[],
  isGone: (jobId: string, attempt: number) => Promise<boolean>,
): Promise<number> => {
  let left = 0
  for (const folder of ended) {
    const group = await findGroup(folder)
    if (!group) continue
    const spec = (await readLaunch(folder))?.spec
    if (!(await (spec ? settleGroup(folder, spec, group) : group.remove()))) left += 1
  }
  for (const path of foldersOf(below))
    for (const name of await readdir(path).catch(() => [])) {
      const group = join(path, name)
      const [, jobId = '', attempt] = name.startsWith(`${prefix}.`)
        ? (endPattern.exec(name.slice(prefix.length)) ?? [])
        : []
      const isLeft = attempt === undefined ? await isForsaken(group) : await isGone(jobId, Number(attempt))
      if (isLeft && !(await removeGroupFolder(group)) && attempt !== undefined) left += 1
    }
  return left
}

/** Returns why a job is ended that Linux has ended a process of, because its group reached the limit. */
export const overGroupLimit = (memoryMib: number): JobOutcome & { readonly ended: 'failed' } => ({
  ...{ ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' },
  message: `It used more than its ${memoryMib} MiB, with what Linux keeps for it, and Linux ended it.`,
})
