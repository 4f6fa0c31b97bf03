import { createSignal } from '../../infra/async/signal.ts'
import { grpc, rpcError } from './grpc.ts'
import type { ServerLog } from './log.ts'
import { caughtUpMessage, checkpointMessage, confirmationMessage, eventMessage } from './messages.ts'
import { at, filterOf, isPast, positionOf, type ReadOptions, type Send, type TransactionPosition } from './read.ts'

const windowDefault = 32

/** Answers a subscription to $all, with a filter as the server's AllSubscriptionFiltered runs it: pages of the window's
 *  size while it catches up, with a checkpoint for each so many events looked at and one at the end, which may lie
 *  behind the end; then event by event, with a checkpoint for each so many, be they let through or not. */
export const answerSubscription = async (log: ServerLog, options: ReadOptions, send: Send, signal: AbortSignal) => {
  const filter = options.getFilter()
  const from = positionOf(options)
  if (from === 'end') throw rpcError(grpc.status.UNIMPLEMENTED, 'not part of this server')
  const passes = filterOf(options)
  const window = filter?.hasMax() ? filter.getMax() : windowDefault
  // Without a filter there are no checkpoints.
  const interval = filter ? window * filter.getCheckpointintervalmultiplier() : Number.POSITIVE_INFINITY
  let checkpoint: TransactionPosition = from === 'start' ? { commit: -1n, prepare: -1n } : from
  let considered = 0
  const sendCheckpoint = async () => {
    if (filter && checkpoint.commit >= 0n) await send(checkpointMessage(checkpoint))
  }
  await send(confirmationMessage())

  let index = from === 'start' ? 0 : log.indexAt(from.commit)
  for (let page = checkpoint; !signal.aborted; ) {
    const end = Math.min(log.records.length, index + window)
    const { length } = log.records
    for (; index < end; index += 1) {
      const record = log.records[index]
      if (!record) break
      considered += 1
      if (!passes(record) || !isPast(at(record.position), checkpoint)) continue
      await send(eventMessage(record))
      checkpoint = at(record.position)
    }
    if (isPast(page, checkpoint)) checkpoint = page
    if (index >= length) break
    if (considered >= interval) {
      considered %= interval
      await sendCheckpoint()
    }
    page = { commit: log.records[index - 1]?.end ?? 0n, prepare: 0n }
  }
  await sendCheckpoint()
  await send(caughtUpMessage())

  const written = createSignal()
  const stopListening = log.onWritten(written.notify)
  try {
    for (let live = 0; !signal.aborted; ) {
      const record = log.records[index]
      if (!record) {
        await written.wait({ signal })
        continue
      }
      index += 1
      live += 1
      if (!isPast(at(record.position), checkpoint)) continue
      if (passes(record)) {
        await send(eventMessage(record))
        checkpoint = at(record.position)
      }
      if (live < interval) continue
      live = 0
      checkpoint = at(record.position)
      await sendCheckpoint()
    }
  } finally {
    stopListening()
  }
}
