/** User ids for attempts: one for each, from a range that no other user owns. The group id is the same number. */
import { randomInt } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../../system/errors.ts'
import { exists, makeFolders, unlessMissing } from '../../system/files.ts'

/** The ids from `first` on, `count` of them. */
export type UidRange = { readonly first: number; readonly count: number }

/** The folder of the ids that are given to attempts, in that of all attempts. Only the platform may enter it. */
export const claimsName = '.uids'
const claimTriesMax = 1000
/** An attempt has two ids: that of its job, and the next one. */
const idsEach = 2

/** Ranges that Linux distributions leave free, the best first: above all ids for containers; between the system's
 *  own ranges and those of containers; and, where a container has 65,536 ids, the end of those for people. */
const candidates: readonly UidRange[] = [
  { first: 1_900_000_000, count: 1_000_000 },
  { first: 70_000, count: 29_000 },
  { first: 40_000, count: 19_000 },
]

/** No attempt has a lower id. */
export const lowestUid = Math.min(...candidates.map(({ first }) => first))

/** Parses /proc/self/uid_map: lines of "first here, first outside, count". */
export const parseIdMap = (text: string): UidRange[] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([first = 0, , count = 0]) => ({ first, count }))

/** Parses /etc/passwd (ids of one user each) or /etc/subuid (ranges). Lines that are neither are left out. */
export const parseOwners = (passwd: string, subuid: string): UidRange[] => {
  const numbers = (line: string, columns: readonly number[]) => columns.map((column) => Number(line.split(':')[column]))
  const singles = passwd.split('\n').map((line) => ({ first: numbers(line, [2])[0] ?? Number.NaN, count: 1 }))
  const ranges = subuid.split('\n').map((line) => {
    const [first = Number.NaN, count = Number.NaN] = numbers(line, [1, 2])
    return { first, count }
  })
  return [...singles, ...ranges].filter(({ first, count }) => Number.isInteger(first) && count > 0)
}

const contains = (outer: UidRange, inner: UidRange): boolean =>
  inner.first >= outer.first && inner.first + inner.count <= outer.first + outer.count

const meet = (one: UidRange, other: UidRange): boolean =>
  one.first < other.first + other.count && other.first < one.first + one.count

/** Returns a range within both maps that no owner has a part of; undefined when there is none. Pure. */
export const pickUidRange = (
  maps: readonly (readonly UidRange[])[],
  owners: readonly UidRange[],
): UidRange | undefined =>
  candidates.find(
    (range) =>
      maps.every((map) => map.some((mapped) => contains(mapped, range))) && !owners.some((owner) => meet(owner, range)),
  )

/** Resolves to a range for jobs on this machine; undefined when there is none. */
export const findUidRange = async (): Promise<UidRange | undefined> => {
  const read = async (path: string) => (await readFile(path, 'utf8').catch(unlessMissing)) ?? ''
  const [uidMap, gidMap] = [await read('/proc/self/uid_map'), await read('/proc/self/gid_map')]
  const users = parseOwners(await read('/etc/passwd'), await read('/etc/subuid'))
  const groups = parseOwners(await read('/etc/group'), await read('/etc/subgid'))
  return pickUidRange([parseIdMap(uidMap), parseIdMap(gidMap)], [...users, ...groups])
}

/** Claims an id of the range for one attempt. No other attempt of this folder gets it until it is released, and none the
 *  one after it, which belongs to the process that kills all of that user. Throws when every tried id is taken. */
export const claimUid = async (root: string, range: UidRange, inUse: ReadonlySet<number>): Promise<number> => {
  await makeFolders(join(root, claimsName), 0o700)
  const isTaken = async (id: number) => inUse.has(id) || (await isClaimed(root, id))
  for (let tries = 0; tries < claimTriesMax; tries++) {
    const uid = range.first + idsEach * randomInt(Math.floor(range.count / idsEach))
    if ((await isTaken(uid - 1)) || inUse.has(uid) || (await isTaken(uid + 1))) continue
    try {
      await writeFile(join(root, claimsName, String(uid)), '', { flag: 'wx', mode: 0o600 })
      return uid
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error
    }
  }
  throw new Error(`no user id is free among ${range.count} from ${range.first} on`)
}

/** Resolves to whether an id was claimed for an attempt of this folder. */
export const isClaimed = (root: string, uid: number): Promise<boolean> => exists(join(root, claimsName, String(uid)))

/** Gives an id back when the attempt's folder is gone. It is no error when it was not claimed. */
export const releaseUid = (root: string, uid: number): Promise<void> =>
  rm(join(root, claimsName, String(uid)), { force: true })
