import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { createSemaphore } from '../../async/semaphore.ts'
import { errorCodes, type Handle, rpcError } from '../json-rpc.ts'
import { boundedLogs, boundedParams } from './bounds.ts'
import { openJournal, rewriteJournal } from './journal.ts'
import { createLane } from './lane.ts'
import { sendsTransaction, treatmentOf } from './methods.ts'
import { type Entry, type Header, journalFormat, type Replayed, replay } from './replay.ts'
import { headOf, openSimulator } from './simulator.ts'

export type JournalBounds = {
  readonly lines: number
  readonly bytes: number
  /** How long it took to execute all of them: a start does that again. */
  readonly executionMs: number
}

/** Room for some thousand deposits; a start that executes the journal again takes less than two minutes. */
export const journalBounds: JournalBounds = { lines: 30_000, bytes: 32 * 1024 * 1024, executionMs: 90_000 }
const guestCallMsMax = 5_000
const guestsWaitingMax = 64

/** A confirmation is one of the few empty blocks that make the last transaction final. */
type WriteKind = 'asked' | 'confirmation'

export type JournaledChain = {
  readonly handle: Handle
  readonly chainId: number
  /** Differs from that of every other chain, also of those with the same genesis. */
  readonly id: string
  close(): Promise<void>
}

export type JournaledOptions = {
  /** Holds `journal.jsonl`. One program at a time may use it. */
  readonly folder: string
  readonly chainId: number
  /** How many empty blocks follow the block of a transaction, and how far apart. */
  readonly confirmationBlocks: number
  readonly blockIntervalMs: number
  readonly allowReorganisations: boolean
  readonly bounds: JournalBounds
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly log: (message: string) => void
  /** Is called when a change could not be written: what was executed is not in the journal, so the chain must be opened
   *  again. */
  readonly onBroken: (error: unknown) => void
}

/** Opens a simulated chain that survives restarts and kill -9. A call that changes it is executed, and answered once it
 *  is in the journal and synced; a call that fails is in no journal. Opening executes the journal again, in order, which
 *  makes the same blocks with the same hashes. A crash between the two loses blocks that no
 *  caller had an answer for and that were not final. The journal is bounded; when it is full the chain takes no more transactions. Throws
 *  CHAIN_JOURNAL_BROKEN when the journal does not replay to what it was, DATA_FOLDER_VERSION when it is for another chain
 *  id or was made by another version. */
export const openJournaledChain = async (options: JournaledOptions): Promise<JournaledChain> => {
  const { folder, chainId, confirmationBlocks, blockIntervalMs, allowReorganisations, bounds, clock, log, onBroken } =
    options
  const path = join(folder, 'journal.jsonl')
  const simulator = await openSimulator({ chainId, folder })
  const { execute } = simulator

  let head = await headOf(execute)
  let executionMs = 0
  let blocksOwed = 0
  let timer: NodeJS.Timeout | undefined
  /** Whether a block is about to be mined, from the pause before it to its end: two at once would be one too many. */
  let confirming = false
  let state: 'open' | 'closing' | 'broken' = 'open'
  /** One write at a time, so that the journal's order is the order of execution. */
  const oneAtATime = createSemaphore(1)
  const lane = createLane({ waitingMax: guestsWaitingMax, callMsMax: guestCallMsMax })

  /** Executes a call. `changed` is false when it failed and the chain is as before. */
  const perform = async ({ at, method, params }: Entry) => {
    const before = head
    const began = performance.now()
    let outcome: { readonly answer: unknown } | { readonly error: unknown }
    try {
      await execute('evm_setNextBlockTimestamp', [at])
      outcome = { answer: await execute(method, params) }
    } catch (error) {
      outcome = { error }
    }
    head = await headOf(execute)
    const mined = Number(head.number - before.number)
    if (mined > 0) {
      blocksOwed = sendsTransaction(method) ? confirmationBlocks : Math.max(0, blocksOwed - mined)
    }
    const changed = 'answer' in outcome || head.hash !== before.hash
    if (changed) executionMs += performance.now() - began
    return { outcome, changed }
  }

  const replayed = await replay({ path, chainId, head: () => head, perform }).catch(async (error: unknown) => {
    await simulator.close()
    throw error
  })
  const { id, lines: kept } = await settleJournal(path, replayed, { chainId, genesis: replayed.genesis })
  const journal = await openJournal(path)
  let lines = kept
  if (replayed.lines.length > 0) log(`replayed ${replayed.lines.length - 1} journal lines to block ${head.number}`)

  const refuseWhenFull = (kind: WriteKind) => {
    if (kind === 'confirmation') return
    if (lines < bounds.lines && journal.bytes() < bounds.bytes && executionMs < bounds.executionMs) return
    throw rpcError(errorCodes.limitExceeded, `The journal of this chain is full (${lines} lines); begin a new chain`)
  }

  const write = (method: string, params: readonly unknown[], kind: WriteKind = 'asked'): Promise<unknown> =>
    oneAtATime(async () => {
      // What was asked for meanwhile may have mined it.
      if (kind === 'confirmation' && blocksOwed === 0) return
      if (state !== 'open') throw rpcError(errorCodes.internal, 'The chain is closing')
      refuseWhenFull(kind)
      const at = Math.max(head.timestamp, Math.floor(clock() / 1000))
      const entry: Entry = { at, head: head.hash, method, params: [...params] }
      const { outcome, changed } = await perform(entry)
      if (changed) {
        try {
          await journal.append(JSON.stringify(entry))
        } catch (error) {
          state = 'broken'
          onBroken(error)
          throw rpcError(errorCodes.internal, `The journal of this chain cannot be written: ${error}`)
        }
        lines += 1
      }
      confirmLater()
      if ('error' in outcome) throw outcome.error
      return outcome.answer
    })

  const confirmLater = () => {
    if (blocksOwed === 0 || confirming || state !== 'open') return
    confirming = true
    timer = setTimeout(async () => {
      try {
        await write('evm_mine', [], 'confirmation')
      } catch (error) {
        if (state === 'open') log(`no block was mined, trying again: ${error}`)
      }
      confirming = false
      confirmLater()
    }, blockIntervalMs)
  }
  confirmLater()

  return {
    chainId,
    id,
    handle: async (method, params, caller) => {
      const treatment = treatmentOf(method, { caller, allowReorganisations })
      if (typeof treatment === 'object') throw rpcError(errorCodes.methodNotFound, treatment.refused)
      if (caller === 'owner') return treatment === 'write' ? write(method, params) : execute(method, params)
      const bounded = boundedParams(method, params)
      return lane((signal) => {
        if (treatment === 'write') return write(method, bounded)
        return method === 'eth_getLogs' ? boundedLogs(execute, bounded, signal) : execute(method, bounded)
      })
    },
    close: async () => {
      if (state === 'open') state = 'closing'
      clearTimeout(timer)
      await oneAtATime(async () => undefined) // after all writes that were asked for before
      await Promise.all([simulator.close(), journal.close()])
    },
  }
}

/** Makes the journal that goes on from what was replayed: a new one gets its first line, and one with lines without
 *  effect, or a first line without an id, is written anew. Resolves to the id and the number of lines. */
const settleJournal = async (
  path: string,
  { id, lines, kept }: Replayed,
  about: Pick<Header, 'chainId' | 'genesis'>,
): Promise<{ id: string; lines: number }> => {
  const lasting = id ?? randomUUID()
  if (id === undefined || kept.length < lines.length - 1 || !lines[0]?.includes(lasting)) {
    const header: Header = { format: journalFormat, ...about, id: lasting }
    await rewriteJournal(path, [JSON.stringify(header), ...kept])
  }
  return { id: lasting, lines: kept.length + 1 }
}
