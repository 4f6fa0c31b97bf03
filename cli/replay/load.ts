import { stat } from 'node:fs/promises'
import { basename, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isReplay, type Replay } from '../../analysis/replay.ts'
import { Failure } from '../../domain/errors.ts'

/** The replay that the file exports by default. Throws REPLAY_FILE_INVALID, with the reason. */
export const loadReplay = async (file: string): Promise<Replay> => {
  const path = resolve(file)
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) throw new Failure('REPLAY_FILE_INVALID', { file, reason: 'there is no such file' })
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

/** `revenue-by-gpu.ts` makes `replay_revenue_by_gpu`. */
export const schemaNameOf = (file: string): string =>
  `replay_${basename(file, extname(file))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')}`.slice(0, schemaNameMax)

/** PostgreSQL cuts names at 63; the names of the schemas beside it are longer by a word. */
export const schemaNameMax = 50
