import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../../system/json.ts'
import type { ServeOptions } from './serve.ts'

const hex = z.string().transform((text) => text as `0x${string}`)
const identity = z.object({ pid: z.number(), startTime: z.number(), bootId: z.string() })
const content = z.object({
  /** The process of the chain. */
  process: identity,
  /** Once it serves. */
  serving: z
    .object({ url: z.string(), id: z.string(), token: hex, marketplace: hex, notes: z.array(z.string()) })
    .optional(),
  /** Once it has failed to start; `code` and `details` are those of a Failure. */
  failed: z
    .object({ code: z.string().optional(), details: z.record(z.string(), z.string()).optional(), why: z.string() })
    .optional(),
})

/** What the process of the embedded chain writes about itself. */
export type ServerFile = z.infer<typeof content>

/** Returns the path of the file in the folder of the chain. */
export const serverFile = (folder: string): string => join(folder, 'server.json')

/** Parses the text of the file; undefined when it cannot be read. */
export const parseServerFile = (text: string | undefined): ServerFile | undefined =>
  text === undefined ? undefined : content.safeParse(parseJson(text)).data

/** Writes the file whole or not at all. */
export const writeServerFile = (folder: string, written: ServerFile): Promise<void> =>
  writeWhole(serverFile(folder), written)

const optionsFile = (folder: string): string => join(folder, 'options.json')

/** Writes the options for the process, readable by this user alone: they hold the secret of the owner. */
export const writeOptions = (options: ServeOptions): Promise<void> => writeWhole(optionsFile(options.folder), options)

/** Resolves to the options that `writeOptions` has written. */
export const readOptions = async (folder: string): Promise<ServeOptions> =>
  JSON.parse(await readFile(optionsFile(folder), 'utf8'))

const writeWhole = async (path: string, content: object): Promise<void> => {
  const draft = `${path}.draft`
  await writeFile(draft, JSON.stringify(content), { mode: 0o600 })
  await rename(draft, path)
}
