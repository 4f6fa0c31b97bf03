import messages from '@eventstore/db-client/generated/streams_pb.js'
import { grpc, rpcError } from './grpc.ts'
import type { LogRecord, ServerLog } from './log.ts'
import { eventMessage, linkMessage, nameOf, streamNotFoundMessage } from './messages.ts'
import type { Release } from './sizes.ts'

export type ReadReq = InstanceType<typeof messages.ReadReq>
export type ReadResp = InstanceType<typeof messages.ReadResp>
export type ReadOptions = NonNullable<ReturnType<ReadReq['getOptions']>>

/** Sends one message, and waits while the other side does not read. */
export type Send = (message: ReadResp) => Promise<void>

export type TransactionPosition = { readonly commit: bigint; readonly prepare: bigint }

export const isPast = (one: TransactionPosition, other: TransactionPosition): boolean =>
  one.commit > other.commit || (one.commit === other.commit && one.prepare > other.prepare)

export const at = (position: bigint): TransactionPosition => ({ commit: position, prepare: position })

/** Returns the filter of a request as a predicate. The server itself leaves some of its own streams out of $all. */
export const filterOf = (options: ReadOptions): ((record: LogRecord) => boolean) => {
  const filter = options.getFilter()
  const expression = filter?.getEventType() ?? filter?.getStreamIdentifier()
  if (!filter || !expression) return () => true
  const named = (record: LogRecord) => (filter.hasEventType() ? record.type : record.stream)
  const regex = expression.getRegex()
  if (regex === '') {
    const prefixes = expression.getPrefixList()
    return (record) => prefixes.some((prefix) => named(record).startsWith(prefix))
  }
  const pattern = new RegExp(regex)
  return (record) => pattern.test(named(record))
}

export const positionOf = (options: ReadOptions): TransactionPosition | 'start' | 'end' => {
  const all = options.getAll()
  const position = all?.getPosition()
  if (!position) return all?.hasEnd() ? 'end' : 'start'
  return { commit: BigInt(position.getCommitPosition()), prepare: BigInt(position.getPreparePosition()) }
}

const isBackwards = (options: ReadOptions) =>
  options.getReadDirection() === messages.ReadReq.Options.ReadDirection.BACKWARDS

const streamSlice = (log: ServerLog, options: ReadOptions): readonly LogRecord[] | undefined => {
  const { streamOf } = log
  const asked = options.getStream()
  const all = streamOf(nameOf(asked?.getStreamIdentifier()))
  if (all.length === 0) return log.isExpired(nameOf(asked?.getStreamIdentifier())) ? [] : undefined
  const first = Number(all[0]?.revision)
  const index = asked?.hasStart() ? 0 : asked?.hasEnd() ? all.length - 1 : Number(asked?.getRevision()) - first
  const count = Number(options.getCount())
  if (!isBackwards(options)) return all.slice(Math.max(0, index), Math.max(0, index) + count)
  const last = Math.min(index, all.length - 1)
  return all.slice(Math.max(0, last + 1 - count), Math.max(0, last + 1)).toReversed()
}

/** Returns whether a position lies inside a record: no server gave it. Beyond the end there is nothing to read. */
export const isWithin = (record: LogRecord | undefined, position: bigint): boolean =>
  record !== undefined && position > record.position && position < record.end

/** Forwards the position is taken as where a record begins, that one included; backwards as where one ends. */
const allSlice = (log: ServerLog, options: ReadOptions, release: Release): readonly LogRecord[] => {
  const passes = filterOf(options)
  const from = positionOf(options)
  const count = Number(options.getCount())
  const backwards = isBackwards(options)
  const found: LogRecord[] = []
  const { records } = log
  let index = from === 'start' ? 0 : from === 'end' ? records.length : log.indexAt(from.commit)
  if (from !== 'start' && from !== 'end' && isWithin(records[index - 1], from.commit))
    throw release === '23.10'
      ? rpcError(grpc.status.UNKNOWN, 'Unexpected FilteredReadAllResult: Error')
      : rpcError(grpc.status.INVALID_ARGUMENT, 'Trying to read from an invalid position.')
  for (index -= backwards ? 1 : 0; found.length < count; index += backwards ? -1 : 1) {
    const record = records[index]
    if (!record) break
    const counts =
      from === 'start' ||
      from === 'end' ||
      (backwards ? !isPast(at(record.end), from) : !isPast(from, at(record.position)))
    if (counts && passes(record)) found.push(record)
  }
  return found
}

/** Returns the error of the server for a stream that was deleted forever. */
export const streamDeleted = (stream: string) =>
  rpcError(grpc.status.FAILED_PRECONDITION, `Event stream '${stream}' is deleted.`, {
    exception: 'stream-deleted',
    'stream-name': stream,
  })

/** Returns the error of a node that is not the leader. */
export const leaderInfo = (port: number) =>
  rpcError(grpc.status.NOT_FOUND, 'Leader info available', {
    exception: 'not-leader',
    'leader-endpoint-host': '127.0.0.1',
    'leader-endpoint-port': String(port),
  })

/** Returns the message of a record. A link is followed on demand: it comes with the event that it names, or alone where
 *  that was deleted. */
export const messageOf = (log: ServerLog, record: LogRecord, options: ReadOptions): ReadResp => {
  if (!options.getResolveLinks() || record.type !== '$>') return eventMessage(record)
  const [revision, ...name] = record.data.toString('utf8').split('@')
  const target = log.streamOf(name.join('@')).find((each) => String(each.revision) === revision)
  return linkMessage(record, target)
}

export const answerRead = async (log: ServerLog, options: ReadOptions, release: Release, send: Send): Promise<void> => {
  if (!options.hasStream()) {
    for (const record of allSlice(log, options, release)) await send(messageOf(log, record, options))
    return
  }
  const stream = nameOf(options.getStream()?.getStreamIdentifier())
  if (log.isTombstoned(stream)) throw streamDeleted(stream)
  const records = streamSlice(log, options)
  if (!records) return send(streamNotFoundMessage(stream))
  for (const record of records) await send(messageOf(log, record, options))
}
