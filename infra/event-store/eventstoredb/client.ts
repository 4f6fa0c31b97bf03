import { EventStoreDBClient, NO_STREAM, UnavailableError, WrongExpectedVersionError } from '@eventstore/db-client'
import services from '@eventstore/db-client/generated/streams_grpc_pb.js'
import { sleep } from '../../async/sleep.ts'
import type { EventStoreDbAddress } from '../../event-store-address.ts'
import { createAppendCall } from './append-call.ts'
import { type ErrorContext, isNotLeader, notSent, refusalOf, storeUnavailable, toStoreFailure } from './errors.ts'
import type { Direction, OutgoingEvent, ServerEvent, ServerPage } from './events.ts'
import type { ServerFilter } from './filter.ts'
import { countLinks } from './links.ts'
import { decodeAppendAnswer } from './messages.ts'
import { throughOutage } from './outage.ts'
import type { LogPosition } from './position.ts'
import { decodeRead, encodeRead, type ReadRequest } from './read-messages.ts'
import './server-name-warning.ts'
import { openServerSubscription, type ReadCall, type ServerSubscription } from './server-subscription.ts'

export type WriteOutcome =
  | { readonly outcome: 'written'; readonly revision: bigint; readonly position: LogPosition | undefined }
  | { readonly outcome: 'conflict'; readonly actual: bigint | undefined }

/** `retry: false` reads once, and gives up soon on a server that does not answer at all: for callers that try again
 *  themselves. */
type ReadOptions = { readonly retry?: boolean }

/** The connection to the server. Every call goes to the leader, so that written events can be read at once. Throws
 *  DATABASE_UNAVAILABLE when the outcome is unknown; reads are retried for a few seconds first. */
export type Connection = {
  /** Writes all events or none. The server treats the same server ids at the same revision as a repetition, and returns
   *  the result of the first time.
   *  @param isOver whether the caller waits no longer: then nothing is sent. */
  append(
    stream: string,
    expected: bigint | 'no stream',
    events: readonly OutgoingEvent[],
    isOver?: () => boolean,
  ): Promise<WriteOutcome>
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
  subscribe(after: LogPosition | 'start', filter: ServerFilter, window: number, readAhead?: boolean): ServerSubscription
  /** Returns a number for the connection over which calls go at this moment, another one after each connect; undefined
   *  while it is not connected. */
  link(): number | undefined
  close(): Promise<void>
}

/** Larger appends go by themselves: one that is larger than a message may be would break the call that all share, and
 *  the others would wait behind its bytes. */
const sharedCharactersMax = 1024 * 1024
const readPath = '/event_store.client.streams.Streams/Read'
/** How many events the server scans before it checks whether it has found enough. */
const searchWindow = 500
const appendPath = '/event_store.client.streams.Streams/BatchAppend'
const asBytes = (bytes: Buffer) => bytes

const charactersOf = (events: readonly OutgoingEvent[]): number =>
  events.reduce((sum, { data, metadata }) => sum + data.length + metadata.length, 0)

const readMsMax = 30_000
/** A server that answers nothing for so long is left by those who try again themselves: another may lead meanwhile. */
const silentMsMax = 1_500
/** All others wait so long for the first event of a stream, which the server has at hand. */
const firstMsMax = 5_000
/** How long the client waits for a node that shall name the leader, in seconds; its own default is 5, and the node that
 *  has just failed may be the first that it asks. */
const gossipSeconds = 1
/** What has arrived while this process was busy is taken before that is said. */
const takeMs = 100
const leaderPauseMs = 50
const leaderAttemptsMax = 3
/** A page ends with the event that reaches so many bytes in memory. */
const pageBytesMax = 8 * 1024 * 1024

type GrpcClient = InstanceType<typeof services.StreamsClient>

/** Internal methods of the client that are needed here (ADR 30): its calls are slow, its batches of appends have no
 *  deadline, and its `readAll` has no filter, though that of the server has one. */
type Internals = {
  supports: (method: unknown) => Promise<boolean>
  callArguments(options: object, callOptions: object): [never, never]
  GRPCStreamCreator(service: unknown, name: string, create: (client: GrpcClient) => unknown): () => Promise<never>
  getChannel(): Promise<{ close(): void }>
  handleError(client: GrpcClient, error: Error): Promise<void>
}

/** Creates a connection, which connects on first use. Throws the error of the client for an address that it cannot
 *  parse. */
export const connectEventStoreDb = ({ forClient, options }: EventStoreDbAddress): Connection => {
  const gossip = options.has('gossiptimeout') ? '' : `${options.size > 0 ? '&' : '?'}gossipTimeout=${gossipSeconds}`
  const client = EventStoreDBClient.connectionString(`${forClient}${gossip}`)
  const internals = client as unknown as Internals
  // By default the client sends all appends through a call of its own, which has no deadline; when it breaks, the appends
  // that wait to be sent end as unhandled rejections.
  internals.supports = async () => false
  // The client does not wait for this, and it throws when a cluster has no leader for long: the next call does too.
  const { handleError } = internals
  internals.handleError = (...failed) => handleError(...failed).catch(() => undefined)
  let appending: GrpcClient | undefined
  const appends = createAppendCall(
    internals.GRPCStreamCreator(services.StreamsClient, 'appendToStream', (streams) => {
      appending = streams
      return streams.makeBidiStreamRequest(
        appendPath,
        asBytes,
        decodeAppendAnswer,
        ...internals.callArguments({ requiresLeader: true }, { deadline: Number.POSITIVE_INFINITY }),
      )
    }),
  )
  /** Has the client look for the leader anew, unless it has done so since this one was made. */
  const reconnect = (from: GrpcClient | undefined) => from && internals.handleError(from, new UnavailableError())
  const closing = new AbortController()
  const subscriptions = new Set<ServerSubscription>()
  const reads = new Set<ReadCall>()
  // A former leader may go on with the calls that it has, though nothing comes to it any more.
  const link = countLinks(client, () => {
    appends.leave()
    for (const subscription of subscriptions) subscription.drop()
    for (const read of reads) read.cancel()
  })

  const callLeader = async <Result>(context: ErrorContext, work: () => Promise<Result>) => {
    for (let attempt = 1; ; attempt += 1) {
      if (closing.signal.aborted) throw storeUnavailable('the event store is closed')
      try {
        return await work()
      } catch (error) {
        if (!isNotLeader(error) || attempt === leaderAttemptsMax) throw toStoreFailure(error, context)
        // The client is about to reconnect to the leader.
        await sleep(leaderPauseMs, closing.signal)
      }
    }
  }

  /** Calls again after a failure: for idempotent calls only. */
  const callWithRetry = <Result>(context: ErrorContext, work: () => Promise<Result>) =>
    throughOutage(closing.signal, () => callLeader(context, work))

  const appendShared: Connection['append'] = async (stream, expected, events) => {
    const answer = await appends.append({ stream, expected, events })
    if (answer.outcome !== 'refused') return answer
    // A node may be cut off from the others for long, and answer this all the time: the client looks for another.
    if (answer.reason === 'Empty') {
      void reconnect(appending)
      appends.leave()
    }
    throw refusalOf(answer)
  }

  const appendAlone: Connection['append'] = async (stream, expected, events) => {
    const outgoing = events.map(({ serverId, type, data, metadata }) => ({
      id: serverId,
      type,
      data: JSON.parse(data) as unknown,
      metadata: JSON.parse(metadata) as unknown,
      contentType: 'application/json',
    }))
    const expectedRevision = expected === 'no stream' ? NO_STREAM : expected
    try {
      const options = { expectedRevision, requiresLeader: true } as const
      const { nextExpectedRevision, position } = await client.appendToStream(stream, outgoing as never, options)
      return { outcome: 'written', revision: nextExpectedRevision, position }
    } catch (error) {
      if (!(error instanceof WrongExpectedVersionError)) throw error
      const { actualVersion } = error
      return { outcome: 'conflict', actual: typeof actualVersion === 'bigint' ? actualVersion : undefined }
    }
  }

  const openRead = (
    request: ReadRequest,
    deadline: number | Date,
    onOpen?: (from: GrpcClient) => void,
  ): Promise<ReadCall> =>
    internals.GRPCStreamCreator(services.StreamsClient, 'read', (streams) => {
      onOpen?.(streams)
      return streams.makeServerStreamRequest(
        readPath,
        asBytes,
        decodeRead,
        encodeRead(request),
        ...internals.callArguments({ requiresLeader: true }, { deadline }),
      )
    })()

  const readPage = async (request: ReadRequest, { retry }: Required<ReadOptions>): Promise<ServerPage> => {
    const beganMs = performance.now()
    let from: GrpcClient | undefined
    const call = await openRead(request, new Date(Date.now() + readMsMax), (streams) => {
      from = streams
    })
    reads.add(call)
    const over = new AbortController()
    const leaveSilent = async (msMax: number) => {
      for (const ms of [msMax, takeMs]) await sleep(ms, over.signal)
      if (over.signal.aborted) return
      if (!retry) {
        void reconnect(from)
        appends.leave(beganMs)
      }
      call.cancel()
    }
    // Of all streams, the first that passes the filter may be behind a million others.
    if (!retry || request.stream !== undefined) {
      call.on('data', () => over.abort())
      void leaveSilent(retry ? firstMsMax : silentMsMax)
    }
    try {
      return await collectPage(call)
    } finally {
      over.abort()
      reads.delete(call)
    }
  }

  return {
    append: (stream, expected, events, isOver = () => false) =>
      callLeader({ stream }, async () => {
        if (isOver()) throw storeUnavailable(notSent)
        const send = charactersOf(events) > sharedCharactersMax ? appendAlone : appendShared
        return send(stream, expected, events)
      }),

    readStream: (stream, direction, from, count, { retry = true } = {}) =>
      (retry ? callWithRetry : callLeader)({ stream }, () => readPage({ stream, direction, from, count }, { retry })),

    readAll: (direction, from, count, by, { retry = true } = {}) =>
      (retry ? callWithRetry : callLeader)(positionOf(from), () =>
        readPage({ direction, from, count, filter: { by, window: searchWindow } }, { retry }),
      ),

    subscribe: (from, by, window, readAhead) => {
      const request = { direction: 'forwards', from, count: 'subscription', filter: { by, window } } as const
      const open = () => openRead(request, Number.POSITIVE_INFINITY)
      const subscription = openServerSubscription(open, { context: positionOf(from), readAhead })
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
      for (const read of reads) read.cancel()
      for (const subscription of subscriptions) subscription.close()
      subscriptions.clear()
      await client.dispose()
      const channel = await internals.getChannel().catch(() => undefined)
      channel?.close()
    },
  }
}

const positionOf = (from: LogPosition | 'start' | 'end'): ErrorContext => ({
  position: typeof from === 'string' ? from : `${from.commit}`,
})

/** Resolves to the events of a read, or to its first when they are too large for a page: then it ends the call. */
const collectPage = (call: ReadCall): Promise<ServerPage> =>
  new Promise((resolve, reject) => {
    const events: ServerEvent[] = []
    let bytes = 0
    let isCut = false
    let isNoStream = false
    call.on('data', (item) => {
      isNoStream ||= item.kind === 'no stream'
      if (item.kind !== 'event' || isCut) return
      events.push(item.event)
      bytes += item.bytes
      // A page that goes on from a position begins with the event there: one more is needed to get on.
      if (bytes < pageBytesMax || events.length < 2) return
      isCut = true
      resolve({ events, isCut, isNoStream })
      call.cancel()
    })
    call.on('error', reject)
    call.on('end', () => resolve({ events, isCut, isNoStream }))
    call.on('close', () => reject(storeUnavailable('the server has ended the call')))
  })
