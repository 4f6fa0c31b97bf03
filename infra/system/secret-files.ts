/** The files of an installation that hold secrets, and how they are kept from other users of the machine: a job may be
 *  one of them. */
import { chmod, lstat, readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Failure } from '../../domain/errors.ts'
import { errorCode } from './errors.ts'
import { unlessMissing } from './files.ts'

const othersBits = 0o007
const [othersRead, othersReadOrEnter] = [0o004, 0o005]
const secretMode = 0o600
const searchedEntriesMax = 20_000
const privatePathsMax = 200

/** Returns the absolute paths of the files of settings that the arguments of Node name.
 *  @param execArgv as in `process.execArgv` */
export const environmentFilesOf = (execArgv: readonly string[], cwd: string = process.cwd()): string[] =>
  execArgv.flatMap((word, index) => {
    const [option, path] = /^--env-file(?:-if-exists)?(?:=(.*))?$/s.exec(word) ?? []
    const named = option === undefined ? undefined : (path ?? execArgv[index + 1])
    return named ? [resolve(cwd, named)] : []
  })

/** Returns the absolute paths of the files with a key or a password that these addresses of servers name: `sslkey` of
 *  PostgreSQL, `userKeyFile` of EventStoreDB. */
export const keyFilesOf = (urls: readonly (string | undefined)[], cwd: string = process.cwd()): string[] =>
  urls
    .flatMap((url) => [...new URLSearchParams(url?.split('?')[1])])
    .flatMap(([name, path]) => (/key|pass.*file/i.test(name) && path ? [resolve(cwd, path)] : []))

/** Resolves to the files with secrets in these folders: settings (`.env`, `.env.production`, not the example), and what
 *  lies in `keys`. */
export const secretFilesIn = async (folders: readonly string[]): Promise<string[]> => {
  const found: string[] = []
  for (const folder of folders) {
    const names = (await readdir(folder).catch(unlessMissing)) ?? []
    found.push(...names.filter(isSettings).map((name) => join(folder, name)))
    const keys = join(folder, 'keys')
    found.push(...((await readdir(keys).catch(unlessMissing)) ?? []).map((name) => join(keys, name)))
  }
  return found
}

const isSettings = (name: string): boolean => /^\.env($|[^a-z])/.test(name) && !name.endsWith('.example')

type User = { readonly uid: number; readonly gids: readonly number[] }

/** Returns the user of this program and its groups. */
export const ownUser = (): User => ({
  uid: process.geteuid?.() ?? 0,
  gids: [process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])],
})

/** Resolves to the files and folders in these folders that the user or its groups may have been given to read, and that
 *  others may not. The upper levels come first; `complete` is false where there is more than `entriesMax` or `pathsMax`.
 *  Links are not followed. */
export const privatePathsIn = async (
  folders: readonly string[],
  { uid, gids }: User,
  { entriesMax = searchedEntriesMax, pathsMax = privatePathsMax } = {},
): Promise<{ paths: string[]; complete: boolean }> => {
  const paths: string[] = []
  let entries = 0
  for (let level = folders; level.length > 0; ) {
    const below: string[] = []
    for (const folder of level) {
      for (const name of await readdir(folder).catch(() => [])) {
        entries += 1
        if (entries > entriesMax || paths.length >= pathsMax) return { paths, complete: false }
        const path = join(folder, name)
        const found = await lstat(path).catch(() => undefined)
        if (found === undefined || found.isSymbolicLink()) continue
        const othersMay = (found.mode & (found.isDirectory() ? othersReadOrEnter : othersRead)) !== 0
        if (!othersMay && (found.uid === uid || gids.includes(found.gid))) paths.push(path)
        else if (found.isDirectory()) below.push(path)
      }
    }
    level = below
  }
  return { paths, complete: true }
}

/** Takes the files that other users may read from them (mode 0600). Resolves to those that were open. Throws
 *  CONFIG_INVALID with the file and the fix where this program may not do so. */
export const closeToOthers = async (paths: readonly string[]): Promise<string[]> => {
  const closed: string[] = []
  for (const path of new Set(paths)) {
    if (!(await isOpen(path))) continue
    const error = await chmod(path, secretMode).catch((error: unknown) => error)
    // Some file systems take a mode and keep theirs.
    if (error !== undefined || (await isOpen(path)))
      throw new Failure(
        'CONFIG_INVALID',
        {
          file: path,
          why: `a job could read its secrets, and its mode cannot be changed (${errorCode(error) ?? 'it stays'})`,
          fix: `chmod 600 ${path}, as its owner, or pass the settings in the environment`,
        },
        error,
      )
    closed.push(path)
  }
  return closed
}

const isOpen = async (path: string): Promise<boolean> => {
  const found = await stat(path).catch(unlessMissing)
  return found?.isFile() === true && (found.mode & othersBits) !== 0
}
