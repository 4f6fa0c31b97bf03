import { randomBytes } from 'node:crypto'
import { access, constants, link, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { Failure } from '../domain/errors.ts'
import { sleep } from './async/sleep.ts'
import { type KernelLock, tryKernelLock } from './kernel-lock.ts'
import { errorCode } from './system/errors.ts'
import { exists, makeFolders, unlessMissing } from './system/files.ts'
import { parseJson } from './system/json.ts'
import { currentBootId, isAlive, ownIdentity, pidNamespace } from './system/processes.ts'
import type { Log } from './telemetry.ts'

/** Increases when the layout of the folder changes. */
const formatVersion = 1
const lockTriesMax = 100
const namedTriesMax = 20
const namedPauseMs = 25

export type DataFolder = {
  /** Absolute. */
  readonly path: string
  /** Releases the lock, so that another process may open the folder. What was written stays. */
  close(): Promise<void>
}

const description = z.object({ format: z.number().int() })
/** What a lock file holds: a ProcessIdentity under other names, with the start time as text, and where it runs.
 *  `kernel`: it has the lock of the kernel too. Earlier versions had none, and wrote the first four alone. */
const lockContent = z.object({
  pid: z.number().int(),
  started: z.string(),
  boot: z.string(),
  released: z.boolean(),
  host: z.string().optional(),
  namespace: z.string().optional(),
  kernel: z.boolean().optional(),
})
type LockContent = z.infer<typeof lockContent>

const ownContent = (kernel: boolean): LockContent => {
  const { pid, startTime, bootId } = ownIdentity()
  const namespace = pidNamespace()
  const where = { host: hostname(), ...(namespace !== undefined && { namespace }) }
  return { pid, started: String(startTime), boot: bootId, released: false, ...where, kernel }
}

/** Makes the folder when it is missing, and locks it for this process alone.
 *  @param log gets a warning where the kernel has no locks for the folder.
 *  Throws DATA_FOLDER_IN_USE (with the pid), DATA_FOLDER_VERSION (with both versions), DATA_FOLDER_UNREACHABLE. */
export const openDataFolder = async (path: string, log?: Log): Promise<DataFolder> => {
  const folder = resolve(path)
  try {
    await createFolder(folder)
    const lock = await takeLock(join(folder, 'lock'), folder, log)
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
  await letOthersPass(folder, made)
  if (!(await stat(folder)).isDirectory()) throw new Failure('DATA_FOLDER_UNREACHABLE', { folder, reason: 'no folder' })
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
}

/** Lets other users pass through a folder that this program has just made: PostgreSQL may have to run as one of them, and
 *  secret files inside have their own mode. They cannot open the folder itself, here or in one that was there: who can
 *  open it can lock it, and keep the platform from its start. Whatever another user put in its place stays as it is. */
const letOthersPass = async (folder: string, made: boolean): Promise<void> => {
  const opened = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const { uid, mode } = await opened.stat()
    const wanted = made ? 0o711 : mode & 0o7773
    if (uid === process.getuid?.() && wanted !== (mode & 0o7777)) await opened.chmod(wanted)
  } finally {
    await opened.close()
  }
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

type Lock = { release(): Promise<void> }

/** Takes two locks, each of which keeps others out. That of the kernel holds across containers, which do not see each
 *  other's processes; that of files holds where the kernel has none, and against versions that knew no other.
 *  Throws DATA_FOLDER_IN_USE.
 *  @param locks the folder of the lock itself, made when it is missing.
 *  @param log gets a warning where the kernel has no locks for the folder. */
export const takeLock = async (locks: string, folder: string, log?: Log): Promise<Lock> => {
  await makeFolders(locks)
  const kernel = await takeKernelLocks(locks, folder)
  if (kernel.kind === 'impossible')
    log?.warn({ folder, reason: kernel.reason }, 'only process ids keep other platforms off this folder')
  const free = async () => (kernel.kind === 'held' ? kernel.release() : undefined)
  try {
    const files = await takeFileLock(locks, folder, kernel.kind === 'held')
    return { release: () => files.release().finally(free) }
  } catch (error) {
    await free()
    throw error
  }
}

/** Takes the locks of the kernel. Tries again for a moment where the files name no holder: one that is starting has not
 *  yet written who it is, one that was killed is still being taken down. Throws DATA_FOLDER_IN_USE. */
const takeKernelLocks = async (locks: string, folder: string): Promise<Exclude<KernelLock, { kind: 'taken' }>> => {
  for (let tries = 0; tries < namedTriesMax; tries += 1) {
    const kernel = await tryKernelLocks(locks, folder)
    if (kernel.kind !== 'taken') return kernel
    const current = await newest(locks)
    const holder = current === undefined ? undefined : await readHolder(join(locks, String(current)))
    if (holder !== undefined && holder !== 'gone' && !hasEnded(holder, false)) throw holdsIt(folder, holder)
    await sleep(namedPauseMs)
  }
  throw new Failure('DATA_FOLDER_IN_USE', { folder, pid: 'unknown' })
}

/** Locks the folder, which stays the same whatever is deleted or renamed in it, and a file in it: on network file systems
 *  the lock of a folder is known on one machine alone, that of a file on all. */
const tryKernelLocks = async (locks: string, folder: string): Promise<KernelLock> => {
  const outer = await tryKernelLock(folder, 'folder')
  if (outer.kind !== 'held') return outer
  const inner = await tryKernelLock(join(locks, 'held'), 'file').catch(async (error: unknown) => {
    await outer.release()
    throw error
  })
  if (inner.kind !== 'held') {
    await outer.release()
    return inner
  }
  return { ...inner, release: () => inner.release().finally(outer.release) }
}

/** Takes the lock of files: the file with the highest number in its folder. A process takes it by linking the next
 *  number, which only one process can. The numbers never go back, not even after a release: otherwise a process with an
 *  outdated view could remove a newer lock as that of a dead process. Throws DATA_FOLDER_IN_USE. */
const takeFileLock = async (locks: string, folder: string, kernel: boolean): Promise<Lock> => {
  const own = ownContent(kernel)
  const draft = join(locks, `draft-${process.pid}-${randomBytes(4).toString('hex')}`)
  await writeFile(draft, JSON.stringify(own))
  try {
    for (let tries = 0; tries < lockTriesMax; tries += 1) {
      const current = await newest(locks)
      const holder = current === undefined ? undefined : await readHolder(join(locks, String(current)))
      if (holder === 'gone') continue
      if (holder !== undefined && !hasEnded(holder, kernel)) throw holdsIt(folder, holder, locks)
      const next = (current ?? 0) + 1
      if (!(await linkNew(draft, join(locks, String(next))))) continue
      if ((await newest(locks)) !== next) {
        await rm(join(locks, String(next)), { force: true })
        continue
      }
      await removeOlder(locks, next)
      return { release: () => writeReleased(join(locks, String(next)), own) }
    }
    throw new Failure('DATA_FOLDER_IN_USE', { folder, pid: 'several' })
  } finally {
    await rm(draft, { force: true })
  }
}

/** Returns true when the holder has provably ended, or let go. That no such process is seen proves nothing by itself: it
 *  may run in another container on the same folder.
 *  @param kernel whether this process has the lock of the kernel, which a holder that had it would still have. */
const hasEnded = (holder: LockContent, kernel: boolean): boolean => {
  if (holder.boot !== currentBootId() || (kernel && holder.kernel)) return true
  return !runsHere(holder) && holder.namespace !== undefined && holder.namespace === pidNamespace()
}

const runsHere = ({ pid, started, boot }: LockContent): boolean =>
  isAlive({ pid, startTime: Number(started), bootId: boot })

/** Returns the refusal that names the holder, and what to do where it is not seen.
 *  @param doubtful the folder of the lock, where its files alone say that the holder runs. */
const holdsIt = (folder: string, holder: LockContent, doubtful?: string): Failure => {
  const details = { folder, pid: String(holder.pid) }
  if (runsHere(holder)) return new Failure('DATA_FOLDER_IN_USE', details)
  return new Failure('DATA_FOLDER_IN_USE', {
    ...details,
    ...(holder.host !== undefined && { host: holder.host }),
    reason: `process ${holder.pid} is not seen from here, as one of another container${doubtful ? ', or one that was killed' : ''}`,
    ways: doubtful
      ? `stop it; when it is certain that it has ended, delete ${doubtful}`
      : 'stop that container or process',
  })
}

const newest = async (locks: string): Promise<number | undefined> => {
  const numbers = (await readdir(locks)).filter((name) => /^\d+$/.test(name)).map(Number)
  return numbers.length === 0 ? undefined : Math.max(...numbers)
}

/** Resolves to undefined when the lock was released, or cannot be read because the machine went down while it was
 *  written. */
const readHolder = async (path: string): Promise<LockContent | 'gone' | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return 'gone'
  const content = lockContent.safeParse(parseJson(text)).data
  return content?.released ? undefined : content
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

/** Writes into a lock file that it was released: on a full disk over what stands in it, which takes no room. Cut off there,
 *  it cannot be read, which counts as released too. */
const writeReleased = async (path: string, own: LockContent): Promise<void> => {
  const text = JSON.stringify({ ...own, released: true })
  await writeWhole(path, text).catch(async (error: unknown) => {
    await rm(`${path}.draft`, { force: true })
    if (errorCode(error) !== 'ENOSPC' && errorCode(error) !== 'EDQUOT') throw error
    const file = await open(path, 'r+')
    try {
      const { size } = await file.stat()
      await file.write(text.padEnd(size), 0)
      await file.sync()
    } finally {
      await file.close()
    }
  })
}

/** Writes a file so that it is replaced whole or not at all. */
const writeWhole = async (path: string, text: string): Promise<void> => {
  const draft = `${path}.draft`
  await writeFile(draft, text, { flush: true })
  await rename(draft, path)
}
