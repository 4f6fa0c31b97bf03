// The folder of an export: parts by day, and a manifest of the valid parts and their last position.
// A part that the manifest does not name does not count: a killed run has left it, and the next run removes it.
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { Failure } from '../../domain/errors.ts'
import { takeLock } from '../../infra/data-folder.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import { makeFolders, syncFolder, unlessMissing } from '../../infra/system/files.ts'
import { parseJson } from '../../infra/system/json.ts'
import type { WrittenFile } from './file.ts'
import { formats } from './formats.ts'

const manifestName = 'manifest.json'
const lockName = '.lock'
const draftsName = '.writing'
const kind = 'NeuralMesh export'

const manifestSchema = z.object({
  kind: z.literal(kind),
  version: z.literal(1),
  format: z.enum(formats),
  personalData: z.enum(['left out', 'included']),
  /** Differs between exports whose pseudonyms were made with different keys; null when there are none. */
  pseudonyms: z.string().nullable(),
  /** All events up to here are in the files. */
  position: z.string(),
  events: z.int(),
  files: z.array(
    z.object({
      path: z.string(),
      day: z.string(),
      events: z.int(),
      first: z.string(),
      last: z.string(),
      bytes: z.int(),
      sha256: z.string(),
    }),
  ),
})
export type Manifest = Readonly<z.infer<typeof manifestSchema>>
type Terms = Pick<Manifest, 'format' | 'personalData' | 'pseudonyms'>

/** A part that was written as a draft. `number` is that of its first event, counted over all events of the export. */
export type DraftPart = {
  readonly draft: string
  readonly day: string
  readonly number: number
  readonly events: number
  readonly first: string
  readonly last: string
}

export type ExportFolder = {
  readonly path: string
  manifest(): Manifest
  /** Returns the path of a part before it has its name. */
  draftOf(day: string): string
  /** Gives the parts their names and then enters them into the manifest. They count only from then on. */
  commit(parts: readonly (DraftPart & WrittenFile)[], position: Position): Promise<void>
  close(): Promise<void>
}

/** Opens the folder of a new export, or that of an earlier one to continue it.
 *  Throws EXPORT_FOLDER_FOREIGN, EXPORT_FOLDER_DIFFERS, EXPORT_FOLDER_IN_USE, EXPORT_FOLDER_UNWRITABLE,
 *  POSITION_FOREIGN. */
export const openExportFolder = async (
  path: string,
  terms: Terms,
  store: Pick<EventStore, 'start' | 'parsePosition'>,
): Promise<ExportFolder> => {
  const folder = resolve(path)
  await refuseForeign(folder)
  await makeFolders(folder)
  const lock = await takeLock(join(folder, lockName), folder).catch((error: unknown) => {
    if (!(error instanceof Failure)) throw error
    throw new Failure('EXPORT_FOLDER_IN_USE', error.details, error)
  })
  try {
    const found = await readManifest(folder)
    const fresh: Manifest = { kind, version: 1, ...terms, position: store.start, events: 0, files: [] }
    let manifest = found ?? fresh
    refuseOtherTerms(folder, manifest, terms)
    store.parsePosition(manifest.position)
    if (!found) await writeManifest(folder, fresh)
    await refuseChanged(folder, manifest)
    await removeLeftovers(folder, manifest)
    await makeFolders(join(folder, draftsName))

    return {
      path: folder,
      manifest: () => manifest,
      draftOf: (day) => join(folder, draftsName, `${day}.${terms.format}`),
      commit: async (parts, position) => {
        const files = parts.map(({ day, number, events, first, last, bytes, sha256 }) => {
          const name = `part-${String(number).padStart(12, '0')}.${terms.format}`
          return { path: `day=${day}/${name}`, day, events, first, last, bytes, sha256 }
        })
        for (const [index, file] of files.entries()) {
          const target = join(folder, file.path)
          await makeFolders(dirname(target))
          await rename(parts[index]?.draft ?? '', target)
          await syncFolder(dirname(target))
        }
        await syncFolder(folder)
        const events = manifest.events + parts.reduce((sum, part) => sum + part.events, 0)
        const next = { ...manifest, position, events, files: [...manifest.files, ...files] }
        await writeManifest(folder, next)
        manifest = next
      },
      close: async () => {
        await rm(join(folder, draftsName), { recursive: true, force: true })
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** Returns EXPORT_FOLDER_UNWRITABLE for an error of the file system, and any other error unchanged. */
export const asUnwritable = (folder: string, error: unknown): unknown => {
  const { code, syscall, message } = error as NodeJS.ErrnoException
  return code !== undefined && syscall !== undefined && !(error instanceof Failure)
    ? new Failure('EXPORT_FOLDER_UNWRITABLE', { folder, reason: message }, error)
    : error
}

const refuseForeign = async (folder: string): Promise<void> => {
  const names = (await readdir(folder).catch(unlessMissing)) ?? []
  const others = names.filter((name) => name !== lockName)
  if (others.length > 0 && !others.includes(manifestName))
    throw new Failure('EXPORT_FOLDER_FOREIGN', { folder, holds: others.slice(0, 3).join(', ') })
}

const readManifest = async (folder: string): Promise<Manifest | undefined> => {
  const text = await readFile(join(folder, manifestName), 'utf8').catch(unlessMissing)
  if (text === undefined) return undefined
  const read = manifestSchema.safeParse(parseJson(text))
  if (!read.success)
    throw new Failure('EXPORT_FOLDER_FOREIGN', { folder, holds: `a ${manifestName} of something else` })
  return read.data
}

const writeManifest = async (folder: string, manifest: Manifest): Promise<void> => {
  const draft = join(folder, `${manifestName}.draft`)
  const file = await open(draft, 'w')
  try {
    await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, join(folder, manifestName))
  await syncFolder(folder)
}

const refuseOtherTerms = (folder: string, found: Manifest, now: Terms): void => {
  const other = (['format', 'personalData', 'pseudonyms'] as const).find((term) => found[term] !== now[term])
  if (other === undefined) return
  const words = { format: '--format', personalData: '--include-personal-data', pseudonyms: 'DATA_DIR/keys/export' }
  throw new Failure('EXPORT_FOLDER_DIFFERS', {
    folder,
    differs: words[other],
    found: String(found[other]),
    now: String(now[other]),
  })
}

/** Throws when a part is missing or changed: no run goes back behind the position of the manifest to make it again. */
const refuseChanged = async (folder: string, { files }: Manifest): Promise<void> => {
  for (const { path, bytes } of files) {
    const found = await stat(join(folder, path)).catch(() => undefined)
    if (found?.size !== bytes)
      throw new Failure('EXPORT_FOLDER_DIFFERS', { folder, file: path, differs: found ? 'its size' : 'it is missing' })
  }
}

const removeLeftovers = async (folder: string, { files }: Manifest): Promise<void> => {
  await rm(join(folder, draftsName), { recursive: true, force: true })
  const known = new Set(files.map(({ path }) => path))
  for (const day of await readdir(folder)) {
    if (!/^day=\d{4}-\d\d-\d\d$/.test(day)) continue
    for (const name of await readdir(join(folder, day)))
      if (/^part-\d+\.\w+$/.test(name) && !known.has(`${day}/${name}`)) await rm(join(folder, day, name))
    if ((await readdir(join(folder, day))).length === 0) await rm(join(folder, day), { recursive: true })
  }
}
