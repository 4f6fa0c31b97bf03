import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../../system/json.ts'

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

/** What the process of the embedded chain says about itself. */
export type ServerFile = z.infer<typeof content>

/** Returns the path of the file in the folder of the chain. */
export const serverFile = (folder: string): string => join(folder, 'server.json')

/** Returns what the text of the file says; undefined when it cannot be read. */
export const parseServerFile = (text: string | undefined): ServerFile | undefined =>
  text === undefined ? undefined : content.safeParse(parseJson(text)).data

/** Writes the file whole or not at all. */
export const writeServerFile = async (folder: string, said: ServerFile): Promise<void> => {
  const draft = `${serverFile(folder)}.draft`
  await writeFile(draft, JSON.stringify(said), { mode: 0o600 })
  await rename(draft, serverFile(folder))
}
