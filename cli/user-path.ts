import { resolve } from 'node:path'

const projectRoot = resolve(import.meta.dirname, '..')

/** Returns the whole path of a file or folder that a user has named. npm starts each program in the folder of the
 *  project, and passes on where its user stands. */
export const userPath = (path: string, environment: NodeJS.ProcessEnv = process.env, cwd = process.cwd()): string =>
  resolve(cwd === projectRoot ? (environment.INIT_CWD ?? cwd) : cwd, path)
