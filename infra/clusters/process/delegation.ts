/** Finds out which control groups this machine delegates to this program, by making one and moving a program into it. */
import { execFile } from 'node:child_process'
import { access, constants, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { errorCode } from '../../system/errors.ts'
import { exists, makeFolders } from '../../system/files.ts'
import { allPids, readProcess } from '../../system/processes.ts'
import { clusterIdOf } from './cluster-id.ts'
import { enterWords, type GroupFolders, readGroupFile, removeGroupFolder, writeGroupFile } from './control-groups.ts'
import { findGroupPlaces, type Hierarchy } from './group-places.ts'

/** The group of the platform itself: in version 2 a group with processes gives its own groups no controllers. */
const leafName = 'platform'
const controllers = ['memory', 'pids'] as const
const trialMsMax = 5_000
const trialPattern = /\.trial-(\d+)$/

export type Delegation = {
  readonly version: 'v2' | 'v1' | 'none'
  /** What the groups of attempts do. */
  readonly does: readonly ('memory' | 'pids' | 'freeze' | 'kill')[]
  /** Why not more. */
  readonly reasons: readonly string[]
  /** How the names of all groups of this cluster begin: two clusters on one machine don't meet. */
  readonly prefix: string
  /** The folders below which they are made. */
  readonly below: GroupFolders
}

const wordsOf = async (path: string): Promise<string[]> => (await readGroupFile(path)).split(/\s+/).filter(Boolean)

/** Returns the processes that started this one, or that it started, and itself: those that it may move. */
const ownFamily = (): ReadonlySet<number> => {
  const parents = new Map(allPids().flatMap((pid) => [[pid, readProcess(pid)?.parent ?? 0] as const]))
  const lineOf = (pid: number): number[] => (pid > 0 ? [pid, ...lineOf(parents.get(pid) ?? 0)] : [])
  const ancestors = lineOf(process.pid)
  const descendants = [...parents.keys()].filter((pid) => lineOf(pid).includes(process.pid))
  return new Set([...ancestors, ...descendants])
}

const moveInto = async (from: string, leaf: string): Promise<string | undefined> => {
  await makeFolders(leaf)
  // What starts meanwhile starts in the old group.
  for (let tries = 0; tries < 5; tries++) {
    const pids = (await wordsOf(join(from, 'cgroup.procs'))).map(Number)
    if (pids.length === 0) return undefined
    const family = ownFamily()
    if (pids.some((pid) => !family.has(pid))) break
    for (const pid of pids) await writeGroupFile(join(leaf, 'cgroup.procs'), String(pid))
  }
  await removeGroupFolder(leaf)
  return `${from} has other processes too`
}

/** Makes the controllers of version 2 available to groups below the own one. Resolves to the folder below which they are
 *  made, and why they have no controllers. */
export const openUnified = async (own: string): Promise<{ readonly folder: string; readonly reason?: string }> => {
  const isLeaf = basename(own) === leafName && (await mayMake(dirname(own)))
  const folder = isLeaf ? dirname(own) : own
  const wanted = async () => {
    const enabled = await wordsOf(join(folder, 'cgroup.subtree_control'))
    const available = await wordsOf(join(folder, 'cgroup.controllers'))
    return controllers.filter((name) => available.includes(name) && !enabled.includes(name))
  }
  if ((await wanted()).length === 0) return { folder }
  // The uppermost group of the machine alone may have both processes and groups with controllers.
  const isTop = !(await exists(join(folder, 'cgroup.type')))
  const inTheWay = isTop ? undefined : await moveInto(folder, join(folder, leafName))
  if (inTheWay) return { folder, reason: inTheWay }
  for (const name of await wanted()) await writeGroupFile(join(folder, 'cgroup.subtree_control'), `+${name}`)
  const left = await wanted()
  return left.length === 0 ? { folder } : { folder, reason: `${folder} does not give ${left.join(' and ')}` }
}

const mayMake = (folder: string): Promise<boolean> =>
  access(folder, constants.W_OK)
    .then(() => access(join(folder, 'cgroup.procs'), constants.W_OK).then(() => true))
    .catch(() => false)

/** Makes a group, moves a program into it, and removes it. Resolves to the files that it has; throws where it cannot. */
const tryGroup = async (below: string, prefix: string): Promise<readonly string[]> => {
  const folder = join(below, `${prefix}.trial-${process.pid}`)
  await makeFolders(folder)
  try {
    const [file = '', ...args] = [
      ...enterWords({ unified: folder }),
      'grep',
      '-q',
      basename(folder),
      '/proc/self/cgroup',
    ]
    await promisify(execFile)(file, args, { timeout: trialMsMax })
    return await readdir(folder)
  } finally {
    await removeGroupFolder(folder)
  }
}

const removeTrials = async (below: string, prefix: string): Promise<void> => {
  for (const name of await readdir(below)) {
    const pid = name.startsWith(prefix) ? trialPattern.exec(name)?.[1] : undefined
    if (pid !== undefined && !readProcess(Number(pid))) await removeGroupFolder(join(below, name))
  }
}

/** Returns that no groups may be made, and why. */
export const noDelegation = (...reasons: readonly string[]): Delegation => ({
  ...{ version: 'none', does: [], reasons, prefix: '', below: {} },
})

/** Finds out which groups may be made for attempts. Never throws: a machine without any is as good as one can be. */
export const findDelegation = async (root: string): Promise<Delegation> => {
  const reasons: string[] = []
  try {
    const prefix = `neuralmesh-${await clusterIdOf(root)}`
    const places = findGroupPlaces(
      await readGroupFile('/proc/self/cgroup'),
      await readGroupFile('/proc/self/mountinfo'),
    )
    const below: { [hierarchy in Hierarchy]?: string } = {}
    const does = new Set<Delegation['does'][number]>()
    const use = async (hierarchy: Hierarchy, gives: Readonly<Record<string, Delegation['does'][number]>>) => {
      const wanted = Object.entries(gives).filter(([, what]) => !does.has(what))
      const place = places[hierarchy]
      const note = (reason: string) => void reasons.push(`${hierarchy}: ${reason}`)
      if (wanted.length === 0) return
      if ('reason' in place) {
        note(place.reason)
        return
      }
      if (!(await mayMake(place.path))) {
        note(`${place.path} belongs to another user`)
        return
      }
      try {
        const { folder, reason } = hierarchy === 'unified' ? await openUnified(place.path) : { folder: place.path }
        if (reason) note(reason)
        await removeTrials(folder, prefix)
        const files = await tryGroup(folder, prefix)
        const found = wanted.filter(([file]) => files.includes(file))
        for (const [, what] of found) does.add(what)
        if (found.length > 0) below[hierarchy] = folder
      } catch (error) {
        note(`no group can be made in ${place.path} (${errorCode(error) ?? error})`)
      }
    }
    await use('unified', {
      'memory.max': 'memory',
      'pids.max': 'pids',
      'cgroup.freeze': 'freeze',
      'cgroup.kill': 'kill',
    })
    const isV2 = does.has('memory')
    await use('memory', { 'memory.limit_in_bytes': 'memory' })
    await use('pids', { 'pids.max': 'pids' })
    await use('freezer', { 'freezer.state': 'freeze' })
    const hasV1 = below.memory ?? below.pids ?? below.freezer
    const version = isV2 || (below.unified && !hasV1) ? 'v2' : hasV1 ? 'v1' : 'none'
    return { version, does: [...does], reasons, prefix, below }
  } catch (error) {
    return noDelegation(...reasons, String(error))
  }
}

/** Returns what is in force, as fields of the log. */
export const describeGroups = ({ version, does, reasons }: Delegation): Readonly<Record<string, string>> => ({
  groups: version,
  ...(does.length > 0 && { groupsDo: does.join(' ') }),
  ...(reasons.length > 0 && { groupReasons: reasons.join('; ') }),
})
