import { createHash } from 'node:crypto'
import type { Hex } from 'viem'
import { z } from 'zod'
import { Failure } from '../../../domain/errors.ts'
import { parseJson } from '../../system/json.ts'
import { openJournal } from './journal.ts'
import type { Head } from './simulator.ts'

export const journalFormat = 1
const hash = z.string().transform((text) => text as Hex)
/** The first line. `genesis` is the hash of block 0: another simulator that makes another one cannot replay the rest.
 *  `id` was made at random with the journal; older journals have none. */
const headerSchema = z.object({
  format: z.literal(journalFormat),
  chainId: z.number(),
  genesis: hash,
  id: z.string().optional(),
})
export type Header = z.infer<typeof headerSchema>
/** `at` is the time of the block that this makes, in seconds; `head` is the newest block before it. */
const entrySchema = z.object({ at: z.number(), head: hash, method: z.string(), params: z.array(z.unknown()) })
export type Entry = z.infer<typeof entrySchema>

export type Replayed = {
  /** Of the chain: that of the first line, or the hash of the first two lines of an older journal; undefined for a
   *  chain without any. */
  readonly id: string | undefined
  readonly genesis: Hex
  /** All lines that were there. */
  readonly lines: readonly string[]
  /** The lines after the first one that changed the chain. */
  readonly kept: readonly string[]
}

/** Executes the lines of the journal again. Each line names the block before it, so the first line with a different
 *  history is found. A call that failed before fails again. Throws CHAIN_JOURNAL_BROKEN and DATA_FOLDER_VERSION. */
export const replay = async (options: {
  readonly path: string
  readonly chainId: number
  readonly head: () => Head
  readonly perform: (entry: Entry) => Promise<{ readonly changed: boolean }>
}): Promise<Replayed> => {
  const { path, chainId, head, perform } = options
  const genesis = head().hash
  const journal = await openJournal(path)
  await journal.close()
  const { lines } = journal
  const [first, ...rest] = lines
  if (first === undefined) return { id: undefined, genesis, lines, kept: [] }
  const broken = (line: number, why: string) => new Failure('CHAIN_JOURNAL_BROKEN', { path, line: String(line), why })

  const header = headerSchema.safeParse(parseJson(first))
  if (!header.success) throw broken(1, 'the header cannot be read')
  if (header.data.chainId !== chainId)
    throw new Failure('DATA_FOLDER_VERSION', { path, chainId: String(header.data.chainId), wanted: String(chainId) })
  if (header.data.genesis !== genesis)
    throw new Failure('DATA_FOLDER_VERSION', { path, genesis: header.data.genesis, ours: genesis })

  const kept: string[] = []
  for (const [index, text] of rest.entries()) {
    const line = index + 2
    const entry = entrySchema.safeParse(parseJson(text))
    if (!entry.success) throw broken(line, 'it cannot be read')
    if (entry.data.head !== head().hash)
      throw broken(line, `it was written on block ${entry.data.head}, the replay is at ${head().hash}`)
    const { changed } = await perform(entry.data)
    if (changed) kept.push(text)
  }
  return { id: header.data.id ?? idOfOlder(lines), genesis, lines, kept }
}

const idOfOlder = ([first, second]: readonly string[]): string | undefined =>
  second === undefined ? undefined : createHash('sha256').update(`${first}\n${second}`).digest('hex').slice(0, 32)
