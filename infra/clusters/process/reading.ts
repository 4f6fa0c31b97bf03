/** Reads the small files of an attempt. Where jobs are not isolated they may have been replaced by anything: a link, a
 *  pipe, a huge file. So each is opened without following a link or waiting, must be a plain file, has a limit, and its
 *  content is checked. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { type ErrorCode, errors } from '../../../domain/errors.ts'
import { errorCode } from '../../system/errors.ts'
import { parseJson } from '../../system/json.ts'
import type { ProcessIdentity } from '../../system/processes.ts'
import type { JobOutcome, JobSpec } from '../port.ts'
import type { IsolationKind } from './isolation.ts'
import { isClaimed } from './uids.ts'

/** A job's files are 64 KiB; escaped as JSON, with its environment, they may take several times as much. */
const specBytesMax = 16 * 1024 ** 2
/** How large a verdict and the other small files may be. */
export const smallBytesMax = 4096
const nameCharactersMax = 200
const messageCharactersMax = 500

/** Opens a plain file for reading without following a link in its last step. Resolves to undefined when there is no such
 *  plain file. */
export const openPlainFile = async (path: string) => {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await open(path, flags).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'EACCES'].includes(String(errorCode(error)))) return undefined
    throw error
  })
  if (!file) return undefined
  if ((await file.stat()).isFile()) return file
  await file.close()
  return undefined
}

/** Resolves to the text of a plain file and when it was written (milliseconds since 1970); undefined when there is none,
 *  or it is longer than `bytesMax`. */
export const readPlainFile = async (
  path: string,
  bytesMax: number,
): Promise<{ readonly text: string; readonly writtenMs: number } | undefined> => {
  const file = await openPlainFile(path)
  if (!file) return undefined
  try {
    const { size, mtimeMs } = await file.stat()
    if (size > bytesMax) return undefined
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0)
    return { text: buffer.toString('utf8', 0, bytesRead), writtenMs: mtimeMs }
  } finally {
    await file.close()
  }
}

const errorCodeSchema = z.custom<ErrorCode>((code) => typeof code === 'string' && Object.hasOwn(errors, code))
const outcomeSchema = z.discriminatedUnion('ended', [
  z.object({ ended: z.literal('exited'), exitCode: z.number().int().min(0).max(255) }),
  z.object({ ended: z.literal('stopped') }),
  z.object({ ended: z.literal('expired') }),
  z.object({ ended: z.literal('failed'), code: errorCodeSchema, message: z.string().max(messageCharactersMax) }),
  z.object({ ended: z.literal('lost') }),
])
const kinds = ['root-namespaces', 'uid', 'user-namespaces', 'bubblewrap', 'none'] as const satisfies IsolationKind[]
const specSchema = z.object({
  jobId: z.string(),
  attempt: z.number(),
  command: z.array(z.string()),
  files: z.array(z.object({ path: z.string(), content: z.string() })),
  environment: z.record(z.string(), z.string()),
  timeoutSeconds: z.number(),
  cpuCores: z.number(),
  memoryMib: z.number(),
  graceSeconds: z.number().optional(),
  leaseSeconds: z.number().optional(),
})
const launchSchema = specSchema.extend({
  // An attempt that an earlier version started names no walls: it has none.
  isolation: z.enum(kinds).default('none'),
  uid: z.number().int().positive().optional(),
  endsAtMs: z.number().optional(),
})
const identitySchema = z.object({
  pid: z.number().int().positive(),
  startTime: z.number(),
  bootId: z.string().max(nameCharactersMax),
})

/** What an attempt runs, and behind which walls. */
export type Launch = {
  readonly spec: JobSpec
  readonly kind: IsolationKind
  /** The user of this attempt alone; undefined: the user of this program. */
  readonly uid: number | undefined
  /** When the rented time is over, in milliseconds since 1970. */
  readonly endsAtMs: number | undefined
}

/** Resolves to what the attempt runs; undefined when that cannot be read. */
export const readLaunch = async (folder: string): Promise<Launch | undefined> => {
  const read = await readPlainFile(join(folder, 'spec.json'), specBytesMax)
  const found = launchSchema.safeParse(parseJson(read?.text ?? '')).data
  if (!found || join(found.jobId, String(found.attempt)) !== join(basename(dirname(folder)), basename(folder)))
    return undefined
  const { isolation, uid, endsAtMs, ...spec } = found
  // All processes of that user are killed at the end of the attempt.
  if (uid !== undefined && !(await isClaimed(dirname(dirname(folder)), uid))) return undefined
  return { spec: spec as JobSpec, kind: isolation, uid, endsAtMs }
}

/** The first process of an attempt, with its start in milliseconds since 1970. */
export type FirstProcess = ProcessIdentity & { readonly startedMs: number }

/** Resolves to the first process; undefined when none has started, or its file cannot be read. */
export const readProcess = async (folder: string): Promise<FirstProcess | undefined> => {
  const read = await readPlainFile(join(folder, 'process.json'), smallBytesMax)
  const identity = identitySchema.safeParse(parseJson(read?.text ?? '')).data
  return identity && read && { ...identity, startedMs: read.writtenMs }
}

/** Resolves to the verdict; undefined when there is none. */
export const readVerdict = async (folder: string): Promise<JobOutcome | undefined> => {
  const read = await readPlainFile(join(folder, 'verdict.json'), smallBytesMax)
  return outcomeSchema.safeParse(parseJson(read?.text ?? '')).data
}

/** Resolves to the outcome of an attempt whose processes are gone. */
export const readOutcome = async (folder: string): Promise<JobOutcome> => {
  const verdict = await readVerdict(folder)
  if (verdict) return verdict
  const missing = (await readPlainFile(join(folder, 'missing'), smallBytesMax))?.text.trim() ?? ''
  const [, word, rest = ''] = /^(program|setup) ([^\n]*)/.exec(missing) ?? []
  if (word === 'setup') return { ended: 'lost' }
  if (word === 'program') {
    const program = rest
      .replace(/\p{Cc}/gu, ' ')
      .slice(0, nameCharactersMax)
      .toWellFormed()
    return { ended: 'failed', code: 'JOB_COMMAND_NOT_FOUND', message: `There is no program "${program}".` }
  }
  const exit = (await readPlainFile(join(folder, 'exit'), smallBytesMax))?.text.trim()
  return exit !== undefined && /^\d{1,3}$/.test(exit) ? { ended: 'exited', exitCode: Number(exit) } : { ended: 'lost' }
}

/** Resolves to the step at which the walls of an attempt could not be built; undefined when they could. */
export const readFailedStep = async (folder: string): Promise<string | undefined> =>
  /^setup ([^\n]*)/.exec((await readPlainFile(join(folder, 'missing'), smallBytesMax))?.text ?? '')?.[1]
