import {
  BACKWARDS,
  END,
  EventStoreDBClient,
  FORWARDS,
  NO_STREAM,
  type ResolvedEvent,
  START,
  WrongExpectedVersionError,
} from '@eventstore/db-client'
import readStreams from '@eventstore/db-client/dist/streams/utils/ReadStream.js'
import converters from '@eventstore/db-client/dist/utils/convertGrpcEvent.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import services from '@eventstore/db-client/generated/streams_grpc_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { isFailure } from '../../../domain/errors.ts'
import { createBackoff } from '../../async/backoff.ts'
import { sleep } from '../../async/sleep.ts'
import type { EventStoreDbAddress } from '../../event-store-address.ts'
import { weightOf } from '../../system/weight.ts'
import { type ErrorContext, isNotLeader, isStreamNotFound, storeUnavailable, toStoreFailure } from './errors.ts'
import type { OutgoingEvent, ServerEvent, ServerPage } from './events.ts'
import type { ServerFilter } from './filter.ts'
import { countLinks } from './links.ts'
import type { LogPosition } from './position.ts'
import { openServerSubscription, type ServerSubscription } from './server-subscription.ts'

export type Direction = 'forwards' | 'backwards'
export type WriteOutcome =
  | { readonly outcome: 'written'; readonly revision: bigint }
  | { readonly outcome: 'conflict'; readonly actual: bigint | undefined }

/** `retry: false` reads once: for callers that try again themselves. */
type ReadOptions = { readonly retry?: boolean }

/** The connection to the server. Every call goes to the leader, so that written events can be read at once. Throws
 *  DATABASE_UNAVAILABLE when the outcome is unknown; reads are retried for a few seconds first. */
export type Connection = {
  /** Writes all events or none. The server treats the same ids at the same revision as a repetition, and returns the
   *  result of the first time. */
  append(stream: string, expected: bigint | 'no stream', events: readonly OutgoingEvent[]): Promise<WriteOutcome>
  /** Resolves to up to `count` events from a revision on, inclusive. An unknown stream is empty. */
  readStream(
    stream: string,
    direction: Direction,
    from: bigint | 'start' | 'end',
    count: number,
    options?: ReadOptions,
  ): Promise<ServerPage>
  /** Resolves to up to `count` events that pass the filter: forwards from a position on, inclusive; backwards
   *  exclusive. */
  readAll(
    direction: Direction,
    from: LogPosition | 'start' | 'end',
    count: number,
    filter: ServerFilter,
    options?: ReadOptions,
  ): Promise<ServerPage>
  /** Subscribes to the events after a position. `window` is how many events the server scans between two
   *  checkpoints. */
  subscribe(after: LogPosition | 'start', filter: ServerFilter, window: number): ServerSubscription
  /** Returns a number for the connection over which calls go at this moment, another one after each connect; undefined
   *  while it is not connected. */
  link(): number | undefined
  close(): Promise<void>
}

const readMsMax = 30_000
const retryMsMax = 5_000
const retryDelay = { minMs: 50, maxMs: 1_000 }
const leaderAttemptsMax = 3
/** A page ends with the event that reaches so many bytes in memory. */
const pageBytesMax = 8 * 1024 * 1024

/** Internal methods of the client that are needed here: its own `readAll` has no filter, though that of the server
 *  has one. */
type Internals = {
  supports: (method: unknown) => Promise<boolean>
  callArguments(options: object, callOptions: object): [never, never]
  GRPCStreamCreator(
    service: unknown,
    name: string,
    create: (client: InstanceType<typeof services.StreamsClient>) => unknown,
  ): () => Promise<never>
  getChannel(): Promise<{ close(): void }>
}

const toServerEvent = ({ event }: ResolvedEvent): ServerEvent | undefined =>
  event && {
    stream: event.streamId,
    revision: event.revision,
    id: event.id,
    type: event.type,
    isJson: event.isJson,
    data: event.data,
    metadata: event.metadata,
    position: event.position,
  }

/** Node's warning about a TLS server name that is an IP address. The client sets the names, to the addresses that the
 *  nodes of a cluster give, and no setting changes that. */
const addressAsServerName = 'DEP0123'
const emitWarning = process.emitWarning.bind(process) as (...about: unknown[]) => void
process.emitWarning = (...about: unknown[]) => {
  if (!about.includes(addressAsServerName)) emitWarning(...about)
}

/** Creates a connection, which connects on first use. Throws the error of the client for an address that it cannot
 *  parse. */
export const connectEventStoreDb = ({ forClient }: EventStoreDbAddress): Connection => {
  const client = EventStoreDBClient.connectionString(forClient)
  const internals = client as unknown as Internals
  // By default the client sends all appends through one call, BatchAppend, which has no deadline of its own; when it
  // breaks, the appends that wait to be sent end as unhandled rejections. One call per append has neither problem.
  internals.supports = async () => false
  const closing = new AbortController()
  const link = countLinks(client)

  const subscriptions = new Set<ServerSubscription>()

  const callLeader = async <Result>(context: ErrorContext, work: () => Promise<Result>) => {
    for (let attempt = 1; ; attempt += 1) {
      if (closing.signal.aborted) throw storeUnavailable('the event store is closed')
      try {
        return await work()
      } catch (error) {
        if (!isNotLeader(error) || attempt === leaderAttemptsMax) throw toStoreFailure(error, context)
        // The client is about to reconnect to the leader.
        await sleep(retryDelay.minMs, closing.signal)
      }
    }
  }

  /** Calls again after a failure: for idempotent calls only. */
  const callWithRetry = async <Result>(context: ErrorContext, work: () => Promise<Result>) => {
    const deadline = performance.now() + retryMsMax
    const backoff = createBackoff(retryDelay)
    for (;;) {
      try {
        return await callLeader(context, work)
      } catch (error) {
        const isLast = closing.signal.aborted || performance.now() + backoff.nextMs > deadline
        if (isLast || !isFailure(error, 'DATABASE_UNAVAILABLE')) throw error
        await backoff.pause(closing.signal)
      }
    }
  }

  type ReadCall = AsyncIterable<ResolvedEvent> & {
    cancel(): Promise<void>
    destroy(): unknown
    on(event: 'error', listener: () => void): unknown
  }

  const collect = async (reading: ReadCall): Promise<ServerPage> => {
    const events: ServerEvent[] = []
    let bytes = 0
    let timedOut = false
    // An error event without a listener would end the process; one may come after the loop below has ended.
    reading.on('error', () => undefined)
    const stop = () => {
      reading.cancel().catch(() => undefined)
      reading.destroy()
    }
    const timer = setTimeout(() => {
      timedOut = true
      stop()
    }, readMsMax)
    closing.signal.addEventListener('abort', stop)
    try {
      for await (const resolved of reading) {
        const event = toServerEvent(resolved)
        if (!event) continue
        events.push(event)
        bytes += weightOf(event.data)
        // A page that goes on from a position begins with the event there: one more is needed to get on.
        if (bytes < pageBytesMax || events.length < 2) continue
        stop()
        return { events, isCut: true }
      }
    } catch (error) {
      if (isStreamNotFound(error)) return { events: [], isCut: false }
      throw timedOut ? storeUnavailable(`no answer within ${readMsMax} ms`, error) : error
    } finally {
      clearTimeout(timer)
      closing.signal.removeEventListener('abort', stop)
    }
    return { events, isCut: false }
  }

  return {
    append: (stream, expected, events) =>
      callLeader({ stream }, async () => {
        const outgoing = events.map((event) => ({ ...event, contentType: 'application/json' }))
        const expectedRevision = expected === 'no stream' ? NO_STREAM : expected
        try {
          const options = { expectedRevision, requiresLeader: true } as const
          const { nextExpectedRevision } = await client.appendToStream(stream, outgoing as never, options)
          return { outcome: 'written', revision: nextExpectedRevision }
        } catch (error) {
          if (!(error instanceof WrongExpectedVersionError)) throw error
          const { actualVersion } = error
          return { outcome: 'conflict', actual: typeof actualVersion === 'bigint' ? actualVersion : undefined }
        }
      }),

    readStream: (stream, direction, from, count, { retry = true } = {}) =>
      (retry ? callWithRetry : callLeader)({ stream }, () =>
        collect(
          client.readStream(stream, {
            direction: direction === 'forwards' ? FORWARDS : BACKWARDS,
            fromRevision: from === 'start' ? START : from === 'end' ? END : from,
            maxCount: count,
            requiresLeader: true,
          }) as ReadCall,
        ),
      ),

    readAll: (direction, from, count, filter, { retry = true } = {}) =>
      (retry ? callWithRetry : callLeader)({ position: typeof from === 'string' ? from : `${from.commit}` }, () => {
        const request = readAllRequest(direction, from, count, filter)
        const create = internals.GRPCStreamCreator(services.StreamsClient, 'readAll', (streams) =>
          streams.read(
            request,
            ...internals.callArguments({ requiresLeader: true }, { deadline: new Date(Date.now() + readMsMax) }),
          ),
        )
        return collect(new readStreams.ReadStream<ResolvedEvent>(create, converters.convertGrpcEvent, {}))
      }),

    subscribe: (after, filter, window) => {
      const subscription = openServerSubscription(client, { after, filter, window, convert: toServerEvent })
      subscriptions.add(subscription)
      return {
        ...subscription,
        close: () => {
          subscriptions.delete(subscription)
          subscription.close()
        },
      }
    },

    link,
    close: async () => {
      closing.abort()
      for (const subscription of subscriptions) subscription.close()
      subscriptions.clear()
      await client.dispose()
      const channel = await internals.getChannel().catch(() => undefined)
      channel?.close()
    },
  }
}

const readAllRequest = (
  direction: Direction,
  from: LogPosition | 'start' | 'end',
  count: number,
  filter: ServerFilter,
) => {
  const { Options } = messages.ReadReq
  const all = new Options.AllOptions()
  if (from === 'start') all.setStart(new shared.Empty())
  else if (from === 'end') all.setEnd(new shared.Empty())
  else
    all.setPosition(
      new Options.Position().setCommitPosition(String(from.commit)).setPreparePosition(String(from.prepare)),
    )
  const expression = new Options.FilterOptions.Expression().setRegex(filter.regex)
  const filtered = new Options.FilterOptions().setMax(searchWindow).setCheckpointintervalmultiplier(1)
  if (filter.on === 'type') filtered.setEventType(expression)
  else filtered.setStreamIdentifier(expression)
  const options = new Options()
    .setAll(all)
    .setReadDirection(direction === 'forwards' ? Options.ReadDirection.FORWARDS : Options.ReadDirection.BACKWARDS)
    .setResolveLinks(false)
    .setCount(String(count))
    .setFilter(filtered)
    .setUuidOption(new Options.UUIDOption().setString(new shared.Empty()))
  return new messages.ReadReq().setOptions(options)
}

/** How many events the server scans before it checks whether it has found enough. */
const searchWindow = 500
