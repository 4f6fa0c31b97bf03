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
import { createSignal } from '../../async/signal.ts'
import { isUnavailable } from '../validation.ts'
import { isNotLeader, isStreamNotFound, storeUnavailable, toStoreFailure } from './errors.ts'
import type { OutgoingEvent, ServerEvent } from './events.ts'
import type { ServerFilter } from './filter.ts'
import { createFollow, type Follow } from './follow.ts'
import type { LogPosition } from './position.ts'

export type Direction = 'forwards' | 'backwards'
export type Written =
  | { readonly outcome: 'written'; readonly revision: bigint }
  | { readonly outcome: 'conflict'; readonly actual: bigint | undefined }

/** The door to the server. Everything goes to its leader, so that what was written can be read at once. Throws
 *  DATABASE_UNAVAILABLE when the outcome is unknown; reads are tried again for a few seconds before. */
export type Connection = {
  /** Writes all of them or none. The server takes the same ids at the same revision for a repetition, and answers as before. */
  append(stream: string, expected: bigint | 'no stream', events: readonly OutgoingEvent[]): Promise<Written>
  /** Up to `count` events from a revision on, that one included. An unknown stream is empty. */
  readStream(
    stream: string,
    direction: Direction,
    from: bigint | 'start' | 'end',
    count: number,
  ): Promise<ServerEvent[]>
  /** Up to `count` events that pass the filter: forwards from a position on, that one included; backwards from before it. */
  readAll(
    direction: Direction,
    from: LogPosition | 'start' | 'end',
    count: number,
    filter: ServerFilter,
  ): Promise<ServerEvent[]>
  /** Events after a position as they come. `window`: how many events the server looks at between two checkpoints. */
  follow(after: LogPosition | 'start', filter: ServerFilter, window: number): Follow
  close(): Promise<void>
}

const readMsMax = 30_000
const retryMsMax = 5_000
const retryPauseMsMin = 50
const retryPauseMsMax = 1_000
const leaderAttemptsMax = 3

/** What the client keeps for its own methods, and is needed here: `readAll` of it takes no filter, though the server does. */
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

/** Newer servers call themselves kurrentdb; the client knows the older name only, and both speak the same. */
const connectionString = (url: string) => url.replace(/^kurrentdb/, 'esdb')

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

/** Connects on first use. Throws CONFIG_INVALID-like errors of the client for an address that it cannot read. */
export const connectEventStoreDb = (url: string): Connection => {
  const client = EventStoreDBClient.connectionString(connectionString(url))
  const internals = client as unknown as Internals
  // Left to itself the client sends all appends through one call, BatchAppend, which has no deadline of its own; when it
  // breaks, those that wait to be sent end as unhandled rejections. A call for each append has neither trouble.
  internals.supports = async () => false
  const closing = new AbortController()
  const bell = createSignal()
  const open = new Set<Follow>()

  const call = async <Answer>(about: { stream?: string; position?: string }, work: () => Promise<Answer>) => {
    for (let attempt = 1; ; attempt += 1) {
      if (closing.signal.aborted) throw storeUnavailable('the event store is closed')
      try {
        return await work()
      } catch (error) {
        if (!isNotLeader(error) || attempt === leaderAttemptsMax) throw toStoreFailure(error, about)
        // The client turns to the leader in a moment.
        await bell.wait({ ms: retryPauseMsMin, signal: closing.signal })
      }
    }
  }

  /** For what may be asked twice. */
  const patiently = async <Answer>(about: { stream?: string; position?: string }, work: () => Promise<Answer>) => {
    const until = performance.now() + retryMsMax
    for (let pauseMs = retryPauseMsMin; ; pauseMs = Math.min(pauseMs * 2, retryPauseMsMax)) {
      try {
        return await call(about, work)
      } catch (error) {
        if (!isUnavailable(error) || closing.signal.aborted || performance.now() + pauseMs > until) throw error
        await bell.wait({ ms: pauseMs, signal: closing.signal })
      }
    }
  }

  type Reading = AsyncIterable<ResolvedEvent> & {
    cancel(): Promise<void>
    destroy(): unknown
    on(event: 'error', listener: () => void): unknown
  }

  const collect = async (reading: Reading): Promise<ServerEvent[]> => {
    const events: ServerEvent[] = []
    let late = false
    // One may come when nobody listens any more.
    reading.on('error', () => undefined)
    const stop = () => {
      reading.cancel().catch(() => undefined)
      reading.destroy()
    }
    const timer = setTimeout(() => {
      late = true
      stop()
    }, readMsMax)
    closing.signal.addEventListener('abort', stop)
    try {
      for await (const resolved of reading) {
        const event = toServerEvent(resolved)
        if (event) events.push(event)
      }
    } catch (error) {
      if (isStreamNotFound(error)) return []
      throw late ? storeUnavailable(`no answer within ${readMsMax} ms`, error) : error
    } finally {
      clearTimeout(timer)
      closing.signal.removeEventListener('abort', stop)
    }
    return events
  }

  return {
    append: (stream, expected, events) =>
      call({ stream }, async () => {
        const sent = events.map((event) => ({ ...event, contentType: 'application/json' }))
        const expectedRevision = expected === 'no stream' ? NO_STREAM : expected
        try {
          const answer = await client.appendToStream(stream, sent as never, { expectedRevision, requiresLeader: true })
          return { outcome: 'written', revision: answer.nextExpectedRevision }
        } catch (error) {
          if (!(error instanceof WrongExpectedVersionError)) throw error
          const { actualVersion } = error
          return { outcome: 'conflict', actual: typeof actualVersion === 'bigint' ? actualVersion : undefined }
        }
      }),

    readStream: (stream, direction, from, count) =>
      patiently({ stream }, () =>
        collect(
          client.readStream(stream, {
            direction: direction === 'forwards' ? FORWARDS : BACKWARDS,
            fromRevision: from === 'start' ? START : from === 'end' ? END : from,
            maxCount: count,
            requiresLeader: true,
          }) as Reading,
        ),
      ),

    readAll: (direction, from, count, filter) =>
      patiently({ position: typeof from === 'string' ? from : `${from.commit}` }, () => {
        const request = readAllRequest(direction, from, count, filter)
        const create = internals.GRPCStreamCreator(services.StreamsClient, 'readAll', (streams) =>
          streams.read(
            request,
            ...internals.callArguments({ requiresLeader: true }, { deadline: new Date(Date.now() + readMsMax) }),
          ),
        )
        return collect(new readStreams.ReadStream<ResolvedEvent>(create, converters.convertGrpcEvent, {}))
      }),

    follow: (after, filter, window) => {
      const follow = createFollow(client, { after, filter, window, convert: toServerEvent })
      open.add(follow)
      return {
        ...follow,
        close: () => {
          open.delete(follow)
          follow.close()
        },
      }
    },

    close: async () => {
      closing.abort()
      for (const follow of open) follow.close()
      open.clear()
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

/** How many events the server looks at in one go before it looks whether it has enough. */
const searchWindow = 500
