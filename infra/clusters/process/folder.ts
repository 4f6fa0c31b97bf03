/** The files of an attempt. By them it is found, followed and judged after this program was killed:
 *
 *    <root>/<jobId>/<attempt>/spec.json     what to run
 *                             work/         the job's own folder: its current folder, its home, its files
 *                             output.log    standard output and error together
 *                             process.json  the first process; it writes this once, before the command starts
 *                             missing       the program's name, when there is no such program
 *                             exit          the command's exit code, when it ended by itself
 *                             verdict.json  the outcome, when the platform ends it: made once, before the first signal
 */
import { randomUUID } from 'node:crypto'
import {
  chmod,
  chown,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { Failure } from '../../../domain/errors.ts'
import { errorCode } from '../../system/errors.ts'
import { exists, unlessMissing } from '../../system/files.ts'
import type { ProcessIdentity } from '../../system/processes.ts'
import type { JobHandle, JobOutcome, JobSpec } from '../port.ts'

const stagingName = '.staging'
const jobIdPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/
const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/
const utf8BytesMax = 4

/** The user that a job runs as, and that owns its work folder. */
export type Owner = { readonly uid: number; readonly gid: number }

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
}

const writeFiles = async (work: string, spec: JobSpec, owner: Owner | undefined): Promise<void> => {
  for (const { path, content } of spec.files) {
    const target = join(work, path)
    try {
      await mkdir(dirname(target), { recursive: true })
      // Of two files with one name, chance would choose the one that is read.
      await writeFile(target, content, { flag: 'wx', mode: content.startsWith('#!') ? 0o755 : 0o644 })
    } catch (error) {
      if (['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes(String(errorCode(error))))
        throw new Failure('JOB_INVALID', { 'files.path': path }, error)
      throw error
    }
  }
  if (!owner) return
  for (const entry of await readdir(work, { recursive: true })) await chown(join(work, entry), owner.uid, owner.gid)
  await chown(work, owner.uid, owner.gid)
}

/** Makes the attempt's folder with all that a start needs, in one step: it exists whole or not at all, however this
 *  program dies. Resolves to false when it existed before. Throws JOB_INVALID for files that cannot be written. */
export const claimFolder = async (root: string, spec: JobSpec, owner: Owner | undefined): Promise<boolean> => {
  const folder = attemptFolder(root, spec)
  if (await exists(folder)) return false
  const staging = join(root, stagingName, `${process.pid}-${randomUUID()}`)
  const work = join(staging, 'work')
  await mkdir(work, { recursive: true })
  try {
    await writeFile(join(staging, 'spec.json'), JSON.stringify(spec), { mode: 0o600 })
    await writeFile(join(staging, 'output.log'), '', { mode: 0o600 })
    if (owner) await chown(join(staging, 'output.log'), owner.uid, owner.gid) // so that it can open /dev/stdout
    await writeFiles(work, spec, owner)
    await mkdir(dirname(folder), { recursive: true })
    // The job's user may pass through to its own folder, and list nothing on the way.
    await chmod(work, 0o700)
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

/** Makes the folder of all jobs, and removes the leftovers of launches that were killed before their claim. */
export const prepareRoot = async (root: string): Promise<void> => {
  const staging = join(root, stagingName)
  await mkdir(staging, { recursive: true })
  for (const name of await readdir(staging))
    if (!(await exists(`/proc/${Number.parseInt(name, 10)}`)))
      await rm(join(staging, name), { recursive: true, force: true })
}

/** Resolves to the id of the cluster, which is made at random with the folder and stored in it. */
export const clusterIdOf = async (root: string): Promise<string> => {
  await prepareRoot(root)
  const path = join(root, '.cluster')
  await writeFile(path, `${randomUUID().slice(0, 8)}\n`, { flag: 'wx' }).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error
  })
  return (await readFile(path, 'utf8')).trim()
}

/** Resolves to all attempts that have a folder. */
export const listFolders = async (root: string): Promise<JobHandle[]> => {
  const jobIds = (await readdir(root).catch(unlessMissing)) ?? []
  const handles: JobHandle[] = []
  for (const jobId of jobIds.filter((name) => name !== stagingName && jobIdPattern.test(name)).sort()) {
    const attempts = ((await readdir(join(root, jobId)).catch(unlessMissing)) ?? []).map(Number)
    for (const attempt of attempts.sort((a, b) => a - b))
      if (Number.isSafeInteger(attempt) && attempt > 0) handles.push({ jobId, attempt })
  }
  return handles
}

const readJsonFile = async (path: string): Promise<unknown> => {
  const text = await readFile(path, 'utf8').catch(unlessMissing)
  return text === undefined ? undefined : JSON.parse(text)
}

/** Resolves to what the attempt runs. */
export const readSpec = async (folder: string): Promise<JobSpec> =>
  (await readJsonFile(join(folder, 'spec.json'))) as JobSpec

/** Resolves to the first process and its start (milliseconds since 1970), or to undefined when none has started. */
export const readProcess = async (
  folder: string,
): Promise<(ProcessIdentity & { readonly startedMs: number }) | undefined> => {
  const path = join(folder, 'process.json')
  const identity = (await readJsonFile(path)) as ProcessIdentity | undefined
  return identity && { ...identity, startedMs: (await stat(path)).mtimeMs }
}

/** Resolves to true when the command has ended by itself. */
export const hasEnded = (folder: string): Promise<boolean> => exists(join(folder, 'exit'))

/** Resolves to the verdict; undefined when there is none. */
export const readVerdict = async (folder: string): Promise<JobOutcome | undefined> =>
  (await readJsonFile(join(folder, 'verdict.json'))) as JobOutcome | undefined

/** Writes the verdict: why the platform ends the attempt. The first verdict counts; after the end of the command it
 *  writes none. */
export const passVerdict = async (folder: string, outcome: JobOutcome): Promise<void> => {
  if (await hasEnded(folder)) return
  const draft = join(folder, `verdict.${randomUUID()}`)
  await writeFile(draft, JSON.stringify(outcome))
  await link(draft, join(folder, 'verdict.json')).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error
  })
  await rm(draft)
}

/** Resolves to the outcome of an attempt whose processes are gone. */
export const readOutcome = async (folder: string): Promise<JobOutcome> => {
  const verdict = await readVerdict(folder)
  if (verdict) return verdict
  const program = await readFile(join(folder, 'missing'), 'utf8').catch(unlessMissing)
  if (program)
    return { ended: 'failed', code: 'JOB_COMMAND_NOT_FOUND', message: `There is no program "${program.trimEnd()}".` }
  const exit = await readFile(join(folder, 'exit'), 'utf8').catch(unlessMissing)
  return exit === undefined ? { ended: 'lost' } : { ended: 'exited', exitCode: Number(exit) }
}

/** Resolves to at most `bytesMax` bytes of the output from `offset` on, empty when there are none. */
export const readOutput = async (folder: string, offset: number, bytesMax: number): Promise<Buffer> => {
  const file = await open(join(folder, 'output.log'), 'r').catch(unlessMissing)
  if (!file) return Buffer.alloc(0)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytesMax), 0, bytesMax, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Resolves to the size of the output in bytes. */
export const outputBytes = async (folder: string): Promise<number> =>
  (await stat(join(folder, 'output.log')).catch(unlessMissing))?.size ?? 0

/** Cuts the output of a job that has ended, to free the disk of what it printed beyond its limit. */
export const cutOutput = (folder: string, bytesMax: number): Promise<void> =>
  truncate(join(folder, 'output.log'), bytesMax)

/** Resolves to the user that an attempt runs as, which is the owner of its work folder; undefined: the user of this
 *  program. */
export const ownerOf = async (folder: string): Promise<Owner | undefined> => {
  const { uid, gid } = await stat(join(folder, 'work'))
  return uid === process.getuid?.() ? undefined : { uid, gid }
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
