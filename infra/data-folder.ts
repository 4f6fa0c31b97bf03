import { randomBytes } from 'node:crypto'
import { access, chmod, constants, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { Failure } from '../domain/errors.ts'
import { errorCode } from './system/errors.ts'
import { exists, makeFolders, unlessMissing } from './system/files.ts'
import { parseJson } from './system/json.ts'
import { isAlive, ownIdentity, type ProcessIdentity } from './system/processes.ts'

/** Increases when the layout of the folder changes. */
const formatVersion = 1
const lockTriesMax = 100

export type DataFolder = {
  /** Absolute. */
  readonly path: string
  /** Releases the lock, so that another process may open the folder. What was written stays. */
  close(): Promise<void>
}

const description = z.object({ format: z.number().int() })
/** What a lock file holds: a ProcessIdentity under other names, with the start time as text. */
const lockContent = z.object({ pid: z.number().int(), started: z.string(), boot: z.string(), released: z.boolean() })
type LockContent = z.infer<typeof lockContent>

const lockContentOf = ({ pid, startTime, bootId }: ProcessIdentity, released: boolean): LockContent => ({
  pid,
  started: String(startTime),
  boot: bootId,
  released,
})

/** Makes the folder when it is missing, and locks it for this process alone.
 *  Throws DATA_FOLDER_IN_USE (with the pid), DATA_FOLDER_VERSION (with both versions), DATA_FOLDER_UNREACHABLE. */
export const openDataFolder = async (path: string): Promise<DataFolder> => {
  const folder = resolve(path)
  try {
    await createFolder(folder)
    const lock = await takeLock(join(folder, 'lock'), folder)
    try {
      await checkVersion(folder)
    } catch (error) {
      await lock.release()
      throw error
    }
    return { path: folder, close: lock.release }
  } catch (error) {
    if (error instanceof Failure) throw error
    const reason = (error as Error).message || errorCode(error) || 'unknown'
    throw new Failure('DATA_FOLDER_UNREACHABLE', { folder, reason }, error)
  }
}

const createFolder = async (folder: string): Promise<void> => {
  const made = await makeFolders(folder)
  // PostgreSQL may have to run as another user and must be able to enter; secret files inside have their own mode.
  if (made) await chmod(folder, 0o755)
  if (!(await stat(folder)).isDirectory()) throw new Failure('DATA_FOLDER_UNREACHABLE', { folder, reason: 'no folder' })
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
}

const checkVersion = async (folder: string): Promise<void> => {
  const path = join(folder, 'neuralmesh.json')
  const text = await readFile(path, 'utf8').catch(unlessMissing)
  if (text === undefined) return writeWhole(path, `${JSON.stringify({ format: formatVersion })}\n`)
  const found = description.safeParse(parseJson(text)).data?.format
  if (found !== formatVersion)
    throw new Failure('DATA_FOLDER_VERSION', {
      folder,
      found: found === undefined ? 'unreadable neuralmesh.json' : String(found),
      needed: String(formatVersion),
    })
}

/** Takes a lock of files. The lock is the file with the highest number in its folder; a process takes it by linking the
 *  next number, which only one process can. The numbers never go back, not even after a release: otherwise a process
 *  with an outdated view could remove a newer lock as that of a dead process. Throws DATA_FOLDER_IN_USE.
 *  @param locks the folder of the lock itself, made when it is missing. */
export const takeLock = async (locks: string, folder: string): Promise<{ release(): Promise<void> }> => {
  await mkdir(locks, { recursive: true })
  const identity = ownIdentity()
  const draft = join(locks, `draft-${process.pid}-${randomBytes(4).toString('hex')}`)
  await writeFile(draft, JSON.stringify(lockContentOf(identity, false)))
  try {
    for (let tries = 0; tries < lockTriesMax; tries += 1) {
      const current = await newest(locks)
      const holder = current === undefined ? undefined : await readHolder(join(locks, String(current)))
      if (holder === 'gone') continue
      if (holder !== undefined && isAlive(holder))
        throw new Failure('DATA_FOLDER_IN_USE', { folder, pid: String(holder.pid) })
      const next = (current ?? 0) + 1
      if (!(await linkNew(draft, join(locks, String(next))))) continue
      if ((await newest(locks)) !== next) {
        await rm(join(locks, String(next)), { force: true })
        continue
      }
      await removeOlder(locks, next)
      return {
        release: () => writeWhole(join(locks, String(next)), JSON.stringify(lockContentOf(identity, true))),
      }
    }
    throw new Failure('DATA_FOLDER_IN_USE', { folder, pid: 'several' })
  } finally {
    await rm(draft, { force: true })
  }
}

const newest = async (locks: string): Promise<number | undefined> => {
  const numbers = (await readdir(locks)).filter((name) => /^\d+$/.test(name)).map(Number)
  return numbers.length === 0 ? undefined : Math.max(...numbers)
}

/** Resolves to undefined when the lock was released, or cannot be read because the machine went down while it was
 *  written. */
const readHolder = async (path: string): Promise<ProcessIdentity | 'gone' | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return 'gone'
  const content = lockContent.safeParse(parseJson(text)).data
  if (content === undefined || content.released) return undefined
  return { pid: content.pid, startTime: Number(content.started), bootId: content.boot }
}

const linkNew = async (from: string, to: string): Promise<boolean> => {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Removes older locks, and the drafts of processes that have died. Only the holder may do this. */
const removeOlder = async (locks: string, current: number): Promise<void> => {
  for (const name of await readdir(locks)) {
    const draftOf = /^draft-(\d+)-/.exec(name)?.[1]
    const dead = draftOf !== undefined && !(await exists(`/proc/${draftOf}`))
    if (dead || (/^\d+$/.test(name) && Number(name) < current)) await rm(join(locks, name), { force: true })
  }
}

/** Writes a file so that it is replaced whole or not at all. */
const writeWhole = async (path: string, text: string): Promise<void> => {
  const draft = `${path}.draft`
  await writeFile(draft, text, { flush: true })
  await rename(draft, path)
}
