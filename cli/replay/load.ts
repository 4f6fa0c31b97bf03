import { stat } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isReplay, type Replay } from '../../analysis/replay.ts'
import { Failure } from '../../domain/errors.ts'
import { userPath } from '../user-path.ts'

/** Resolves to the default export of a file, a replay. Throws REPLAY_FILE_INVALID, with the reason. */
export const loadReplay = async (file: string): Promise<Replay> => {
  const path = userPath(file)
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) {
    const other = found?.isDirectory() ? 'it is a folder' : 'it is no regular file'
    throw new Failure('REPLAY_FILE_INVALID', { file, reason: found ? other : 'there is no such file' })
  }
  const module = await importFrom(path).catch((error: unknown) => {
    const reason = error instanceof Failure ? error.details.reason : undefined
    throw new Failure('REPLAY_FILE_INVALID', { file, reason: reason ?? `it does not load: ${messageOf(error)}` }, error)
  })
  if (!isReplay(module.default))
    throw new Failure('REPLAY_FILE_INVALID', { file, reason: 'its default export is not made by replay(…)' })
  return module.default
}

const importFrom = (path: string): Promise<{ readonly default?: unknown }> => import(pathToFileURL(path).href)

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Returns the name of the schema for a file: `replay_revenue_by_gpu` for `revenue-by-gpu.ts`. */
export const schemaNameOf = (file: string): string =>
  `replay_${basename(file, extname(file))
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean)
    .join('_')}`.slice(0, schemaNameMax)

/** PostgreSQL cuts names at 63 bytes; the schemas beside it have longer names by one word. */
export const schemaNameMax = 50
