import { join } from 'node:path'
import type { Hex } from 'viem'
import { z } from 'zod'
import { Failure } from '../../../domain/errors.ts'
import { createSemaphore } from '../../async/semaphore.ts'
import { parseJson } from '../../system/json.ts'
import { errorCodes, type Handle, rpcError } from '../json-rpc.ts'
import { openJournal } from './journal.ts'
import { sendsTransaction, treatmentOf } from './methods.ts'
import { type Head, headOf, openSimulator } from './simulator.ts'

const format = 1
const hash = z.string().transform((text) => text as Hex)
/** The first line. `genesis` is the hash of block 0: another simulator that makes another one cannot replay the
 *  rest. */
const headerSchema = z.object({ format: z.literal(format), chainId: z.number(), genesis: hash })
/** `at` is the time of the block that this makes, in seconds; `head` is the newest block before it. */
const entrySchema = z.object({ at: z.number(), head: hash, method: z.string(), params: z.array(z.unknown()) })
type Entry = z.infer<typeof entrySchema>

export type JournaledChain = { readonly handle: Handle; readonly chainId: number; close(): Promise<void> }

export type JournaledOptions = {
  /** Holds `journal.jsonl`. One program at a time may use it. */
  readonly folder: string
  readonly chainId: number
  /** How many empty blocks follow the block of a transaction, and how far apart. */
  readonly confirmationBlocks: number
  readonly blockIntervalMs: number
  readonly allowReorganisations: boolean
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly log: (message: string) => void
}

/** Opens a simulated chain that survives restarts and kill -9. A call that changes it is written to a journal and
 *  synced before it is executed. Opening executes the journal again, in order, which makes the same blocks with the
 *  same hashes. The price: the journal never shrinks, and opening takes one to two milliseconds a line. Throws
 *  CHAIN_JOURNAL_BROKEN when the journal does not replay to what it was, DATA_FOLDER_VERSION when it is for another
 *  chain id or was made by another version. */
export const openJournaledChain = async (options: JournaledOptions): Promise<JournaledChain> => {
  const { folder, chainId, confirmationBlocks, blockIntervalMs, allowReorganisations, clock, log } = options
  const path = join(folder, 'journal.jsonl')
  const journal = await openJournal(path)
  const simulator = await openSimulator({ chainId, folder }).catch(async (error: unknown) => {
    await journal.close()
    throw error
  })
  const { execute } = simulator

  let head = await headOf(execute)
  let blocksOwed = 0
  let timer: NodeJS.Timeout | undefined
  let closing = false
  /** One write at a time, so that the journal's order is the order of execution. */
  const oneAtATime = createSemaphore(1)

  const perform = async ({ at, method, params }: Entry): Promise<unknown> => {
    const before = head.number
    try {
      await execute('evm_setNextBlockTimestamp', [at])
      return await execute(method, params)
    } finally {
      head = await headOf(execute)
      const mined = Number(head.number - before)
      if (mined > 0) blocksOwed = sendsTransaction(method) ? confirmationBlocks : Math.max(0, blocksOwed - mined)
    }
  }

  const write = (method: string, params: readonly unknown[]): Promise<unknown> =>
    oneAtATime(async () => {
      if (closing) throw rpcError(errorCodes.internal, 'The chain is closing')
      const at = Math.max(head.timestamp, Math.floor(clock() / 1000))
      const entry: Entry = { at, head: head.hash, method, params: [...params] }
      await journal.append(JSON.stringify(entry))
      try {
        return await perform(entry)
      } finally {
        confirmLater()
      }
    })

  const confirmLater = () => {
    if (blocksOwed === 0 || timer || closing) return
    timer = setTimeout(() => {
      timer = undefined
      write('evm_mine', []).catch((error: unknown) => {
        if (closing) return
        log(`no block was mined, trying again: ${error}`)
        confirmLater()
      })
    }, blockIntervalMs)
  }

  try {
    await replay({ path, lines: journal.lines, chainId, head: () => head, perform })
    if (journal.lines.length === 0) {
      const header: z.infer<typeof headerSchema> = { format, chainId, genesis: head.hash }
      await journal.append(JSON.stringify(header))
    } else log(`replayed ${journal.lines.length - 1} journal lines to block ${head.number}`)
  } catch (error) {
    await Promise.all([simulator.close(), journal.close()])
    throw error
  }
  confirmLater()

  return {
    chainId,
    handle: async (method, params) => {
      const treatment = treatmentOf(method, { allowReorganisations })
      if (typeof treatment === 'object') throw rpcError(errorCodes.methodNotFound, treatment.refused)
      return treatment === 'write' ? write(method, params) : execute(method, params)
    },
    close: async () => {
      closing = true
      clearTimeout(timer)
      await oneAtATime(async () => undefined) // after all writes that were asked for before
      await Promise.all([simulator.close(), journal.close()])
    },
  }
}

/** Executes the lines of the journal again. Each line names the block before it, so the first line with a different
 *  history is found. A call that failed before fails again, with the same effect. Throws CHAIN_JOURNAL_BROKEN and
 *  DATA_FOLDER_VERSION. */
const replay = async (options: {
  path: string
  lines: readonly string[]
  chainId: number
  head: () => Head
  perform: (entry: Entry) => Promise<unknown>
}): Promise<void> => {
  const { path, lines, chainId, head, perform } = options
  const [first, ...rest] = lines
  if (first === undefined) return
  const broken = (line: number, why: string) => new Failure('CHAIN_JOURNAL_BROKEN', { path, line: String(line), why })

  const header = headerSchema.safeParse(parseJson(first))
  if (!header.success) throw broken(1, 'the header cannot be read')
  if (header.data.chainId !== chainId)
    throw new Failure('DATA_FOLDER_VERSION', { path, chainId: String(header.data.chainId), wanted: String(chainId) })
  if (header.data.genesis !== head().hash)
    throw new Failure('DATA_FOLDER_VERSION', { path, genesis: header.data.genesis, ours: head().hash })

  for (const [index, text] of rest.entries()) {
    const line = index + 2
    const entry = entrySchema.safeParse(parseJson(text))
    if (!entry.success) throw broken(line, 'it cannot be read')
    if (entry.data.head !== head().hash)
      throw broken(line, `it was written on block ${entry.data.head}, the replay is at ${head().hash}`)
    await perform(entry.data).catch(() => undefined)
  }
}
