/** The files of an attempt. By them it is found, followed and judged after this program was killed:
 *
 *    <root>/<jobId>/<attempt>/spec.json     what to run, behind which walls
 *                             program       its environment and command, as the shell reads them
 *                             work/         the job's own folder: its current folder, its home, its files
 *                             tmp/          its /tmp, where it has a file tree of its own
 *                             jail/         empty; the place where that tree is built
 *                             output        a pipe: what the job prints
 *                             output.log    standard output and error together
 *                             process.json  the first process; it writes this once, before the command starts
 *                             missing       the program's name, when there is no such program
 *                             exit          the command's exit code, when it ended by itself
 *                             exit.draft    the room for that, taken before the start: the disk may be full at the end
 *                             verdict.json  the outcome, when the platform ends it: made once, before the first signal
 *                             verdict.late  the outcome when the first process itself ends it, written before the start
 *                             verdict.room  the room for a verdict, taken before the start
 *                             groups.json   its control groups, as long as they are there
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, lchown, link, lstat, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { Failure } from '../../../domain/errors.ts'
import { errorCode } from '../../system/errors.ts'
import { exists, makeFolders, unlessMissing } from '../../system/files.ts'
import { giveTree } from '../../system/owner.ts'
import type { JobHandle, JobOutcome, JobSpec } from '../port.ts'
import { isFaultOfMachine } from './fault.ts'
import { type Launch, openPlainFile, readVerdict, smallBytesMax } from './reading.ts'
import { programScript } from './wrapper.ts'

const stagingName = '.staging'
/** The folder in which it is tried what this machine allows; other users may pass through it. */
export const trialsName = '.trials'
const jobIdPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/
const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/
const utf8BytesMax = 4
/** As long as the longest exit code with its line. */
const exitRoom = '\n'.repeat(4)
/** How long a job may take to end after SIGTERM. */
export const graceSecondsMax = 300
/** Linux takes no longer word, and no more words and variables together (a quarter of the usual stack). */
const wordBytesMax = 128 * 1024
const wordsBytesMax = 1536 * 1024
const pointerBytes = 8

/** Returns the folder of an attempt. Throws JOB_INVALID for an id or an attempt that could lead elsewhere. */
export const attemptFolder = (root: string, { jobId, attempt }: JobHandle): string => {
  if (!jobIdPattern.test(jobId)) throw new Failure('JOB_INVALID', { jobId })
  if (!Number.isSafeInteger(attempt) || attempt < 1) throw new Failure('JOB_INVALID', { attempt: String(attempt) })
  return join(root, jobId, String(attempt))
}

/** Throws JOB_INVALID for a spec that no process can get: an empty command, NUL, a file outside the job's folder, no
 *  limits. */
export const checkSpec = (spec: JobSpec): void => {
  const [program] = spec.command
  if (!program) throw new Failure('JOB_INVALID', { command: 'is empty' })
  const noNul = (field: string, text: string) => {
    if (text.includes('\0')) throw new Failure('JOB_INVALID', { [field]: 'holds a NUL byte' })
  }
  for (const word of spec.command) noNul('command', word)
  for (const [name, value] of Object.entries(spec.environment)) {
    if (!variablePattern.test(name)) throw new Failure('JOB_INVALID', { environment: name })
    noNul(`environment.${name}`, value)
  }
  for (const { path } of spec.files) {
    noNul('files', path)
    const clean = posix.normalize(path)
    const outside = posix.isAbsolute(path) || clean === '..' || clean.startsWith('../')
    if (outside || clean === '.' || clean.endsWith('/')) throw new Failure('JOB_INVALID', { 'files.path': path })
  }
  for (const limit of ['timeoutSeconds', 'cpuCores', 'memoryMib'] as const)
    if (!(spec[limit] > 0)) throw new Failure('JOB_INVALID', { [limit]: String(spec[limit]) })
  const { graceSeconds = 0 } = spec
  if (!(graceSeconds >= 0 && graceSeconds <= graceSecondsMax))
    throw new Failure('JOB_INVALID', { graceSeconds: String(graceSeconds) })
  const words = [...spec.command, ...Object.entries(spec.environment).map((pair) => pair.join('='))]
  const bytes = words.map((word) => Buffer.byteLength(word) + 1)
  const longest = Math.max(...bytes)
  if (longest > wordBytesMax) throw new Failure('JOB_INVALID', { command: `a word of ${longest} bytes` })
  const total = bytes.reduce((sum, one) => sum + one + pointerBytes, 0)
  if (total > wordsBytesMax) throw new Failure('JOB_INVALID', { command: `${total} bytes with its environment` })
}

const writeFiles = async (work: string, spec: JobSpec, uid: number | undefined): Promise<void> => {
  for (const { path, content } of spec.files) {
    const target = join(work, path)
    try {
      await makeFolders(dirname(target))
      // Of two files with one name, chance would choose the one that is read.
      await writeFile(target, content, { flag: 'wx', mode: content.startsWith('#!') ? 0o755 : 0o644 })
    } catch (error) {
      if (['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes(String(errorCode(error))))
        throw new Failure('JOB_INVALID', { 'files.path': path }, error)
      throw error
    }
  }
  if (uid !== undefined) await giveTree(work, uid, uid)
}

/** Makes the attempt's folder with all that a start needs, in one step: it exists whole or not at all, however this
 *  program dies. Resolves to false when it existed before. Throws JOB_INVALID for files that cannot be written. */
export const claimFolder = async (root: string, { spec, kind, uid, endsAtMs }: Launch): Promise<boolean> => {
  const folder = attemptFolder(root, spec)
  if (await exists(folder)) return false
  // No other user may enter the folder of drafts, so none can put a link into one before it gets its owner.
  const staging = join(root, stagingName, `${process.pid}-${randomUUID()}`)
  const [work, temporary] = [join(staging, 'work'), join(staging, 'tmp')]
  await makeFolders(staging, 0o700)
  try {
    for (const path of [work, temporary, join(staging, 'jail')]) await mkdir(path, { mode: 0o700 })
    await writeFile(join(staging, 'spec.json'), JSON.stringify({ ...spec, isolation: kind, uid, endsAtMs }), {
      mode: 0o600,
    })
    await writeFile(join(staging, 'program'), programScript(folder, kind, spec), { mode: 0o600 })
    await writeFile(join(staging, 'output.log'), '', { mode: 0o600 })
    await writeFile(join(staging, 'exit.draft'), exitRoom, { mode: 0o600 })
    await writeFile(join(staging, 'verdict.room'), ' '.repeat(smallBytesMax), { mode: 0o600 })
    await writeFiles(work, spec, uid)
    if (uid !== undefined) await lchown(temporary, uid, uid)
    await makeFolders(dirname(folder))
    // The job's user may pass through to its own folder, and list nothing on the way.
    for (const passage of [staging, dirname(folder)]) await chmod(passage, 0o711)
    // Renaming onto a folder that is not empty fails: of two claims one wins.
    await rename(staging, folder)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST') return false
    throw error
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/** Makes the folder of all jobs, and removes the leftovers of launches that were killed before their claim. Throws
 *  DATA_FOLDER_UNREACHABLE. */
export const prepareRoot = async (root: string): Promise<void> => {
  try {
    await makeFolders(root)
    for (const [name, mode] of [
      [stagingName, 0o700],
      [trialsName, 0o711],
    ] as const)
      await prepareDrafts(join(root, name), mode)
  } catch (error) {
    throw new Failure('DATA_FOLDER_UNREACHABLE', { folder: root, reason: String(errorCode(error) ?? error) }, error)
  }
}

const prepareDrafts = async (folder: string, mode: number): Promise<void> => {
  await makeFolders(folder, mode)
  await chmod(folder, mode)
  for (const draft of await readdir(folder))
    if (!(await exists(`/proc/${Number.parseInt(draft, 10)}`)))
      await rm(join(folder, draft), { recursive: true, force: true })
}

/** Writes the program of an attempt again, whole or not at all: a power cut may have left it empty. */
export const writeProgram = async (folder: string, { kind, spec }: Launch): Promise<void> => {
  const draft = join(folder, `program.${randomUUID()}`)
  try {
    await writeFile(draft, programScript(folder, kind, spec), { mode: 0o600 })
    await rename(draft, join(folder, 'program'))
  } finally {
    await rm(draft, { force: true })
  }
}

/** Resolves to all attempts that have a folder. */
export const listFolders = async (root: string): Promise<JobHandle[]> => {
  const jobIds = (await readdir(root).catch(unlessMissing)) ?? []
  const handles: JobHandle[] = []
  for (const jobId of jobIds.filter((name) => jobIdPattern.test(name)).sort()) {
    const attempts = ((await readdir(join(root, jobId)).catch(unlessMissing)) ?? []).map(Number)
    for (const attempt of attempts.sort((a, b) => a - b))
      if (Number.isSafeInteger(attempt) && attempt > 0) handles.push({ jobId, attempt })
  }
  return handles
}

/** Resolves to true when the command has ended by itself. */
export const hasEnded = (folder: string): Promise<boolean> => exists(join(folder, 'exit'))

/** Resolves to whether the command is over, and what it has left is being ended. */
export const isCommandOver = (folder: string): Promise<boolean> => exists(join(folder, 'over'))

/** Writes the verdict: why the platform ends the attempt. After the end of the command it writes none. */
export const passVerdict = async (folder: string, outcome: JobOutcome): Promise<void> => {
  if (!(await hasEnded(folder))) await storeVerdict(folder, outcome)
}

/** Writes why the attempt ends or has ended. The first verdict that can be read counts. On a full disk it takes the room
 *  that was kept for it. */
export const storeVerdict = async (folder: string, outcome: JobOutcome): Promise<void> => {
  if (await readVerdict(folder)) return
  const [draft, verdict] = [join(folder, `verdict.${randomUUID()}`), join(folder, 'verdict.json')]
  const text = JSON.stringify(outcome)
  try {
    await writeFile(draft, text, { flush: true }).catch(async (error: unknown) => {
      if (!isFaultOfMachine(error) || !(await writeInRoom(folder, draft, text))) throw error
    })
    await link(draft, verdict).catch(async (error: unknown) => {
      if (errorCode(error) !== 'EEXIST' && !isFaultOfMachine(error)) throw error
      // A power cut may have left an empty one, and a full disk may have no room for a second name.
      if (!(await readVerdict(folder))) await rename(draft, verdict)
    })
  } finally {
    await rm(draft, { force: true })
  }
}

/** Makes the draft of the room that was kept, and writes over what stands there. Resolves to false where it cannot:
 *  another writer has taken the room, or an earlier version kept none. */
const writeInRoom = async (folder: string, draft: string, text: string): Promise<boolean> => {
  const bytes = Buffer.from(text.padEnd(smallBytesMax))
  if (bytes.length > smallBytesMax) return false
  try {
    await rename(join(folder, 'verdict.room'), draft)
    const file = await open(draft, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      if ((await file.write(bytes, 0, bytes.length, 0)).bytesWritten < bytes.length) return false
      await file.sync()
    } finally {
      await file.close()
    }
    return true
  } catch {
    return false
  }
}

/** Resolves to at most `bytesMax` bytes of the output from `offset` on, empty when there are none. */
export const readOutput = async (folder: string, offset: number, bytesMax: number): Promise<Buffer> => {
  const file = await openPlainFile(join(folder, 'output.log'))
  if (!file) return Buffer.alloc(0)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytesMax), 0, bytesMax, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Resolves to the size of the output in bytes. */
export const outputBytes = async (folder: string): Promise<number> => {
  const found = await lstat(join(folder, 'output.log')).catch(unlessMissing)
  return found?.isFile() ? found.size : 0
}

/** Cuts the output of a job that has ended, to free the disk of what it printed beyond its limit. */
export const cutOutput = async (folder: string, bytesMax: number): Promise<void> => {
  const file = await open(join(folder, 'output.log'), constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    await file.truncate(bytesMax)
  } finally {
    await file.close()
  }
}

/** Resolves to the output as text from `offset` on. It ends between two characters: half a character waits for the next
 *  call. */
export const readOutputText = async (
  folder: string,
  offset: number,
  bytesMax: number,
): Promise<{ text: string; nextOffset: number }> => {
  const bytes = await readOutput(folder, offset, Math.max(bytesMax, utf8BytesMax))
  const whole = bytes.subarray(0, bytes.length - halfCharacterBytes(bytes))
  return { text: whole.toString('utf8'), nextOffset: offset + whole.length }
}

/** Returns how many bytes at the end begin a character that they do not finish. */
const halfCharacterBytes = (bytes: Uint8Array): number => {
  for (let back = 1; back < utf8BytesMax && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte >> 6 === 0b10) continue
    const length = byte >> 5 === 0b110 ? 2 : byte >> 4 === 0b1110 ? 3 : byte >> 3 === 0b11110 ? 4 : 1
    return length > back ? back : 0
  }
  return 0
}
