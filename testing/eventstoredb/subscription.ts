import { createSignal } from '../../infra/async/signal.ts'
import { grpc, rpcError } from './grpc.ts'
import type { ServerLog } from './log.ts'
import { caughtUpMessage, checkpointMessage, confirmationMessage } from './messages.ts'
import {
  at,
  filterOf,
  isPast,
  isWithin,
  messageOf,
  positionOf,
  type ReadOptions,
  type Send,
  type TransactionPosition,
} from './read.ts'
import type { Release } from './sizes.ts'

const windowDefault = 32
/** How many events wait for a live subscriber. */
const liveMax = 32

/** Answers a subscription to $all, with a filter as the server's AllSubscriptionFiltered runs it: pages of the window's
 *  size while it catches up, with a checkpoint for each so many events looked at and (since 24.10) one at the end, which
 *  may lie behind the end; then event by event, with a checkpoint for each so many, be they let through or not. A live
 *  subscriber for whom too many events wait is dropped by 23.10, and catches up again on later ones. */
export const answerSubscription = async (
  log: ServerLog,
  options: ReadOptions,
  release: Release,
  send: Send,
  signal: AbortSignal,
) => {
  const filter = options.getFilter()
  const from = positionOf(options)
  if (from === 'end') throw rpcError(grpc.status.UNIMPLEMENTED, 'not part of this server')
  const passes = filterOf(options)
  const window = filter?.hasMax() ? filter.getMax() : windowDefault
  // Without a filter there are no checkpoints.
  const interval = filter ? window * filter.getCheckpointintervalmultiplier() : Number.POSITIVE_INFINITY
  let checkpoint: TransactionPosition = from === 'start' ? { commit: -1n, prepare: -1n } : from
  const sendCheckpoint = async () => {
    if (filter && checkpoint.commit >= 0n) await send(checkpointMessage(checkpoint))
  }
  let index = from === 'start' ? 0 : log.indexAt(from.commit)
  // From beyond the last record on, it is live at once.
  if (from !== 'start' && index < log.records.length && isWithin(log.records[index - 1], from.commit))
    throw release === '23.10'
      ? rpcError(grpc.status.UNKNOWN, 'Exception was thrown by handler.')
      : rpcError(grpc.status.INVALID_ARGUMENT, 'Trying to read from an invalid position.')
  await send(confirmationMessage())

  const catchUp = async () => {
    let considered = 0
    for (let page = checkpoint; !signal.aborted; ) {
      const end = Math.min(log.records.length, index + window)
      const { length } = log.records
      for (; index < end; index += 1) {
        const record = log.records[index]
        if (!record) break
        considered += 1
        if (!passes(record) || !isPast(at(record.position), checkpoint)) continue
        await send(messageOf(log, record, options))
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
    if (release !== '23.10') await sendCheckpoint()
  }

  const written = createSignal()
  const stopListening = log.onWritten(written.notify)

  /** Sends what comes, until the subscriber is too far behind. */
  const goLive = async () => {
    await send(caughtUpMessage())
    for (let live = 0; !signal.aborted; ) {
      if (log.records.length - index > liveMax) {
        if (release === '23.10')
          throw rpcError(
            grpc.status.ABORTED,
            'Operation timed out: Consumer too slow to handle event while live. Client resubscription required.',
          )
        return sendCheckpoint()
      }
      const record = log.records[index]
      if (!record) {
        await written.wait({ signal })
        continue
      }
      index += 1
      live += 1
      if (!isPast(at(record.position), checkpoint)) continue
      if (passes(record)) {
        await send(messageOf(log, record, options))
        checkpoint = at(record.position)
      }
      if (live < interval) continue
      live = 0
      checkpoint = at(record.position)
      await sendCheckpoint()
    }
  }

  try {
    while (!signal.aborted) {
      await catchUp()
      await goLive()
    }
  } finally {
    stopListening()
  }
}
