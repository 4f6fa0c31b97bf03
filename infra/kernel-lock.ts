import { spawn } from 'node:child_process'
import { close, constants, fstat, open } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { sleep } from './async/sleep.ts'
import { unlessMissing } from './system/files.ts'

const replacedTriesMax = 100
const program = 'flock'
const { O_RDONLY, O_DIRECTORY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants
const flags = { folder: O_RDONLY | O_DIRECTORY, file: O_RDWR | O_CREAT | O_NOFOLLOW }
const waitPauseMs = 100
const waitSilentMs = 1_000

/** - `held`: this process holds the lock until it releases it or dies. A program that inherits `fd` holds it too, for as
 *    long as that program lives.
 *  - `taken`: another process holds it, in whatever pid namespace or container.
 *  - `impossible`: there are no such locks here, for the reason. */
export type KernelLock =
  | { readonly kind: 'held'; readonly fd: number; release(): Promise<void> }
  | { readonly kind: 'taken' }
  | { readonly kind: 'impossible'; readonly reason: string }

/** Takes an exclusive lock of the kernel (flock) on a folder, or on a file, which is made when it is missing. Node cannot
 *  call flock(2), but such a lock belongs to the open file, which a child shares: so the program `flock` takes it for us
 *  and ends. The kernel frees it with the last process that has the file open, so no crash leaves one behind. */
export const tryKernelLock = async (path: string, of: 'file' | 'folder'): Promise<KernelLock> => {
  for (let tries = 0; tries < replacedTriesMax; tries += 1) {
    const fd = await promisify(open)(path, flags[of], 0o600)
    const outcome = await lock(fd).catch(async (error: unknown) => {
      await promisify(close)(fd)
      throw error
    })
    if (outcome !== 'held') {
      await promisify(close)(fd)
      return outcome
    }
    // A file that was deleted or renamed meanwhile keeps no other process out.
    const [own, named] = [await promisify(fstat)(fd), await stat(path).catch(unlessMissing)]
    if (own.ino === named?.ino && own.dev === named.dev) {
      let released = false
      const release = async () => {
        if (released) return
        released = true
        await promisify(close)(fd)
      }
      return { kind: 'held', fd, release }
    }
    await promisify(close)(fd)
  }
  return { kind: 'impossible', reason: `${path} is replaced again and again` }
}

/** A lock that child processes inherit. `fd` is undefined where the kernel has no locks: then nothing is locked. */
export type InheritedLock = { readonly fd: number | undefined; release(): Promise<void> }

/** Takes the lock of a file as soon as the processes that hold it have ended: children of an earlier run, which may run in
 *  another container and are not seen. Resolves to undefined when one still holds it after `msMax`.
 *  @param onWait is called once when that takes longer than a moment. */
export const waitForKernelLock = async (
  path: string,
  { msMax, onWait }: { readonly msMax: number; readonly onWait: () => void },
): Promise<InheritedLock | undefined> => {
  for (let waitedMs = 0; ; waitedMs += waitPauseMs) {
    const lock = await tryKernelLock(path, 'file')
    if (lock.kind === 'held') return lock
    if (lock.kind === 'impossible') return { fd: undefined, release: async () => undefined }
    if (waitedMs >= msMax) return undefined
    if (waitedMs === waitSilentMs) onWait()
    await sleep(waitPauseMs)
  }
}

const lock = (fd: number): Promise<'held' | Exclude<KernelLock, { kind: 'held' }>> =>
  new Promise((resolve) => {
    // The short options and the number of a descriptor are what the programs of Debian, Alpine and BusyBox share.
    const child = spawn(program, ['-x', '-n', '3'], { stdio: ['ignore', 'ignore', 'pipe', fd] })
    let errors = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    child.once('error', (error) =>
      resolve({ kind: 'impossible', reason: `${program} cannot be run: ${error.message}` }),
    )
    child.once('close', (status, signal) => {
      if (status === 0) resolve('held')
      else if (status === 1 && errors === '') resolve({ kind: 'taken' })
      else resolve({ kind: 'impossible', reason: errors.trim() || `${program} ended with ${status ?? signal}` })
    })
  })
