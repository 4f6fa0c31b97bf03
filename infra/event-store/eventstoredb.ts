import { Failure, isFailure } from '../../domain/errors.ts'
import { createBoundedMap, registerBound } from '../async/bounded.ts'
import { sleep } from '../async/sleep.ts'
import { tellWhileWaiting } from '../async/waiting.ts'
import { type EventStoreDbAddress, parseEventStoreDbAddress } from '../event-store-address.ts'
import type { Log } from '../telemetry.ts'
import { type Connection, connectEventStoreDb } from './eventstoredb/client.ts'
import { openOutcome } from './eventstoredb/errors.ts'
import type { ServerEvent } from './eventstoredb/events.ts'
import { serverFilter } from './eventstoredb/filter.ts'
import { appendEpoch, readIdentity } from './eventstoredb/identity.ts'
import { createKnownOnServer, guardConnection } from './eventstoredb/known.ts'
import { createKnownIds } from './eventstoredb/known-ids.ts'
import { type LogPosition, logPositionsOf } from './eventstoredb/position.ts'
import { whyNeverConnects } from './eventstoredb/probe.ts'
import { createReader } from './eventstoredb/reader.ts'
import { settleMsDefault } from './eventstoredb/settling.ts'
import { createTail } from './eventstoredb/subscription.ts'
import { createWriter } from './eventstoredb/writer.ts'
import { type Keeper, keepLatest, loadKept } from './keeper.ts'
import { acknowledgedBy, refuseLogWithout } from './known-log.ts'
import type { Capabilities, EventStore } from './port.ts'
import { isLossKnown, storePrefixes } from './position.ts'
import { logRetries } from './retry-log.ts'
import { checkAppends } from './validation.ts'

const openMsDefault = 30_000
const openPauseMs = 100

export const eventStoreDbCapabilities: Capabilities = {
  appendToMany: false,
  idsKnownWithin: 'stream',
  durable: true,
  sizesSetBy: 'server',
  distanceIn: 'bytes',
}

/** Opens the event store on a server of EventStoreDB (23.10 or later) or KurrentDB. Its streams are the server's
 *  streams; it never returns events of other clients on the same server.
 *  @param url esdb:// or kurrentdb://, as for the server's own clients; a cluster by its nodes or +discover.
 *  @param openMs how long to wait for the server.
 *  @param settleMs how long an append finds out whether it was written, when the server's answer leaves that open.
 *  @param idleMs after how long without an event a subscription is compared with the log.
 *  @param onReplaced called when the log was put back or replaced meanwhile: from then on all throws LOG_REPLACED.
 *  @param create `false` writes nothing, for read-only callers: a server without our log is then LOG_NOT_FOUND.
 *  @param keepers places outside the server for the latest event; a log that lacks it is not opened: LOG_REPLACED.
 *  Throws EVENT_STORE_UNREACHABLE when the server does not answer in time, CONFIG_INVALID when it denies access or is
 *  too old. */
export const openEventStoreDb = async ({
  url,
  log,
  create = true,
  openMs = openMsDefault,
  settleMs = settleMsDefault,
  idleMs,
  onReplaced,
  lookPauseMs,
  keepers = [],
}: {
  readonly url: string
  readonly log?: Log
  readonly create?: boolean
  readonly openMs?: number
  readonly settleMs?: number
  readonly idleMs?: number | undefined
  readonly onReplaced?: ((failure: Failure) => void) | undefined
  readonly lookPauseMs?: number | undefined
  readonly keepers?: readonly Keeper[] | undefined
}): Promise<EventStore> => {
  const address = parseEventStoreDbAddress(url)
  if (!address) throw unusable('it is not an address of a server')
  const direct = connect(address)
  const opening = new AbortController()
  try {
    const kept = await loadKept(keepers)
    const { log: known, has } = createKnownOnServer({ connection: direct, onReplaced, pauseMs: lookPauseMs })
    const identify = async () => {
      const adopted = kept.length > 0 ? await readAdopted(direct) : undefined
      const missed = kept.filter(({ event }) => !adopted || !isLossKnown(event.position, 2, adopted))
      // First: nothing is written to another log.
      for (const each of missed) await refuseLogWithout(each, has, lookPauseMs)
      const identity = await readIdentity(direct, create)
      // A user who may write our streams need not be one who may read the whole log.
      await direct.readAll('forwards', 'start', 1, serverFilter({}))
      return { ...identity, missed }
    }
    const identity = identityWithin(identify, { address, openMs, signal: opening.signal }, log)
    const { storeId, epochs, event, missed } = await Promise.race([identity, refuseUnusable(address)])
    const positions = logPositionsOf(`${storePrefixes.eventStoreDb}${storeId}`, epochs)
    for (const each of missed) known.add(each.event)
    known.add({ ...event, position: positions.of(event.position) })
    const connection = guardConnection(direct, known, positions)
    const stopKeeping = keepLatest(keepers, known, log)
    const knownIds = createKnownIds()
    const onStrange = logStrangeOnce(log)
    const reader = createReader({ connection, positions, knownIds, onStrange })
    const head = async () => {
      const latest = known.latest()?.position
      const last = await reader.lastEvent()
      const position = last && positions.of(last.position)
      if (latest !== undefined && (position === undefined || position < latest)) await known.look()
      if (last && position !== undefined) known.add({ ...last, position })
      return last?.position
    }
    const isKnown = (position: LogPosition) => positions.of(position) <= (known.latest()?.position ?? '')
    const writer = createWriter({ connection, reader, positions, knownIds, settleMs })
    const onRetry = logRetries(log)
    const tail = createTail({ connection, head, isKnown, positions, onStrange, onRetry, idleMs })
    return {
      name: 'eventstoredb',
      capabilities: eventStoreDbCapabilities,
      append: async (append) => {
        const [checked] = checkAppends([append])
        if (!checked) throw new Error('checkAppends returned no append for one.')
        const before = known.latest()?.position
        const outcome = await writer.append(checked)
        if (outcome.outcome !== 'appended') return outcome
        // A proxy may have gone over to another server, with the connection to here intact.
        if (!outcome.repeated && before !== undefined && outcome.position <= before)
          await known.look().catch((error: unknown) => Promise.reject(openOutcome(error)))
        for (const stored of acknowledgedBy([checked], [outcome])) known.add(stored)
        return outcome
      },
      appendToMany: async ([first]) => {
        throw new Failure('EVENT_INVALID', {
          stream: first?.stream ?? '',
          reason: 'this event store appends to one stream at a time',
        })
      },
      readStream: reader.readStream,
      readAll: reader.readAll,
      subscribe: async function* (options) {
        for await (const batch of tail.subscribe(options)) {
          const last = batch.events.at(-1)
          if (last) known.add(last)
          yield batch
        }
      },
      head: async () => {
        const last = await head()
        return last ? positions.of(last) : positions.start
      },
      start: positions.start,
      parsePosition: (text) => positions.of(positions.partsOf(text)),
      distance: positions.distance,
      close: async () => {
        known.close()
        tail.close()
        await writer.close()
        await stopKeeping()
        await direct.close()
      },
    }
  } catch (error) {
    opening.abort()
    await direct.close()
    throw error
  }
}

/** Resolves to the log on the server, with the epochs in which it was adopted; to undefined when there is none. */
const readAdopted = async (connection: Connection) => {
  const found = await readIdentity(connection, false).catch((error: unknown) => {
    if (!isFailure(error, 'LOG_NOT_FOUND')) throw error
  })
  return found && { ...found, store: `${storePrefixes.eventStoreDb}${found.storeId}` }
}

/** Begins an epoch of this name after the last event of the log on a server. Throws the failures of opening it, and
 *  CONFLICT_UNRESOLVED. */
export const beginEpochOnServer = async (url: string, name: string): Promise<void> => {
  const address = parseEventStoreDbAddress(url)
  if (!address) throw unusable('it is not an address of a server')
  const connection = connect(address)
  try {
    const identity = await readIdentity(connection, false)
    const positions = logPositionsOf(`${storePrefixes.eventStoreDb}${identity.storeId}`, identity.epochs)
    const reader = createReader({ connection, positions, knownIds: createKnownIds(), onStrange: () => undefined })
    await appendEpoch(connection, { name, after: (await reader.lastEvent())?.position.commit ?? 0n }, identity)
  } finally {
    await connection.close()
  }
}

const strangeStreams = registerBound({
  name: 'streams with strange events',
  holds: 'With EventStoreDB, the streams with events that carry our mark and are not ours: each is logged once.',
  whenFull: 'evicts the oldest',
  entriesMax: 1_000,
})

const logStrangeOnce = (log?: Log) => {
  const logged = createBoundedMap<true>(strangeStreams)
  return ({ stream, revision, id, type }: ServerEvent) => {
    if (logged.has(stream)) return
    logged.set(stream, true)
    log?.warn({ stream, revision: String(revision), eventId: id, type }, 'events of another program are left out')
  }
}

const unusable = (why: string, cause?: unknown) =>
  new Failure('CONFIG_INVALID', { variable: 'EVENTSTORE_URL', why }, cause)

const connect = (address: EventStoreDbAddress) => {
  try {
    return connectEventStoreDb(address)
  } catch (error) {
    throw unusable(error instanceof Error ? error.message : String(error), error)
  }
}

/** Throws CONFIG_INVALID when the address can never work; otherwise never resolves. */
const refuseUnusable = async (address: EventStoreDbAddress): Promise<never> => {
  const why = await whyNeverConnects(address)
  if (why !== undefined) throw unusable(why)
  return new Promise(() => undefined)
}

const identityWithin = async <Found>(
  read: () => Promise<Found>,
  options: { readonly address: EventStoreDbAddress; readonly openMs: number; readonly signal: AbortSignal },
  log?: Log,
): Promise<Found> => {
  const { openMs, signal } = options
  const address = options.address.hosts.map(({ host, port }) => `${host}:${port}`).join(',')
  const until = performance.now() + openMs
  let reason: string | undefined
  const readInTime = async (): Promise<Found> => {
    for (;;)
      try {
        return await read()
      } catch (error) {
        if (!isFailure(error, 'DATABASE_UNAVAILABLE')) throw error
        reason = error.details.reason ?? error.message
        if (signal.aborted || performance.now() > until)
          throw new Failure('EVENT_STORE_UNREACHABLE', { address, reason }, error)
        await sleep(openPauseMs, signal)
      }
  }
  return tellWhileWaiting(readInTime(), (seconds) =>
    log?.warn({ variable: 'EVENTSTORE_URL', address, seconds, reason }, 'waiting for the event store'),
  )
}
