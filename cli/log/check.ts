import type { DomainEvent } from '../../domain/aggregates.ts'
import { Failure, isFailure } from '../../domain/errors.ts'
import type { Posting } from '../../domain/ledger.ts'
import { inChunks } from '../../infra/async/chunks.ts'
import type { EventStore, StoredEvent, StreamRange } from '../../infra/event-store/port.ts'
import { decodeStored } from '../../projections/engine/projection.ts'
import { createIdSet } from './id-set.ts'

/** What is wrong with a log, by kind. */
export const problemKinds = [
  'position out of order',
  'position missing',
  'revision missing or repeated',
  'event id twice',
  'event unreadable',
  'stream damaged',
  'event of another program',
  'balance below zero',
] as const
export type ProblemKind = (typeof problemKinds)[number]

/** `count` is how often it was found, `first` describes the first ones. */
export type Problem = { readonly kind: ProblemKind; readonly count: number; readonly first: readonly string[] }
export type LogCheck = {
  readonly events: number
  readonly streams: number
  readonly position: string
  readonly problems: readonly Problem[]
}

const shownMax = 10
const readsAtOnceMax = 8
/** The part of the progress that reading all events takes; the rest are the streams one by one. */
const eventsShare = 0.7

const createProblems = () => {
  const found = new Map<ProblemKind, { count: number; first: string[] }>()
  return {
    add: (kind: ProblemKind, what: string) => {
      const known = found.get(kind) ?? { count: 0, first: [] }
      known.count += 1
      if (known.first.length < shownMax) known.first.push(what)
      found.set(kind, known)
    },
    list: (): readonly Problem[] =>
      problemKinds.flatMap((kind) => {
        const known = found.get(kind)
        return known ? [{ kind, ...known }] : []
      }),
  }
}

/** Looks through a whole log, up to its present end: positions grow, without a gap where the engine numbers events, the
 *  revisions of each stream are those from 0 on, each event id is there once, every event can be read, each stream read by
 *  itself is as long as in the log and has no event of another program, and no account of a user is below zero. Resolves
 *  to what was found.
 *  @param onProgress called with the part that is done, from 0 to 1, and the number of events so far. */
export const checkLog = async (
  store: Pick<EventStore, 'capabilities' | 'head' | 'start' | 'readAll' | 'readStream' | 'distance'>,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (done: number, events: number) => void },
): Promise<LogCheck> => {
  const problems = createProblems()
  const end = await store.head()
  const whole = Math.max(1, store.distance(store.start, end))
  const lastRevisions = new Map<string, bigint>()
  const ids = createIdSet()
  const suspects = new Set<string>()
  const balances = new Map<string, bigint>()
  // No adoption leaves a gap: the first event of an epoch has the number after the last one that was left.
  const hasNumbers = store.capabilities.distanceIn === 'events'
  let [events, before] = [0, store.start]
  const shared = new Set<string>()
  const addShared = (stream: string, foreign: string) => {
    if (!shared.has(stream)) problems.add('event of another program', `${stream}: ${foreign}`)
    shared.add(stream)
  }

  const lookAt = async (event: StoredEvent): Promise<void> => {
    const { id, stream, revision, position } = event
    const where = `${stream} ${revision} at ${position}`
    // PostgreSQL sorts by it, so this shows what the server of another engine answers.
    if (position <= before) problems.add('position out of order', where)
    else if (hasNumbers && store.distance(before, position) !== 1)
      problems.add('position missing', `${store.distance(before, position) - 1} before ${where}`)
    if (position > before) before = position
    const expected = (lastRevisions.get(stream) ?? -1n) + 1n
    if (revision !== expected) {
      // The log leaves out events of other programs, and a read of the stream by itself fails with them.
      const isAsked = revision > expected && !shared.has(stream)
      const foreign = isAsked ? await foreignIn(store, stream, { from: expected, limit: 1 }) : undefined
      if (foreign !== undefined) addShared(stream, foreign)
      else if (revision < expected || !shared.has(stream))
        problems.add('revision missing or repeated', `${where}, expected ${expected}`)
    }
    lastRevisions.set(stream, revision)
    if (!ids.add(id)) suspects.add(id)
    const read = readable(event)
    if (read === undefined) problems.add('event unreadable', `${event.type} in ${where}`)
    else if ('posting' in read) move(balances, read.posting)
  }

  for await (const event of store.readAll()) {
    signal.throwIfAborted()
    await lookAt(event)
    events += 1
    if (events % 1000 === 0) onProgress((store.distance(store.start, event.position) / whole) * eventsShare, events)
  }
  for (const id of await idsStoredTwice(store, suspects, signal)) problems.add('event id twice', id)

  let looked = 0
  await inChunks([...lastRevisions], readsAtOnceMax, (chunk) =>
    Promise.all(
      chunk.map(async ([stream, last]) => {
        signal.throwIfAborted()
        const damage = shared.has(stream) ? undefined : await damageOf(store, stream, last)
        if (damage?.isForeign) addShared(stream, damage.why)
        else if (damage) problems.add('stream damaged', `${stream}: ${damage.why}`)
        looked += 1
        if (looked % 100 === 0) onProgress(eventsShare + (looked / lastRevisions.size) * (1 - eventsShare), events)
      }),
    ),
  )
  // What the platform owes to a user is a credit, which lowers the account.
  for (const [account, amount] of balances)
    if (account.startsWith('user:') && amount > 0n) problems.add('balance below zero', `${account}: ${-amount}`)
  onProgress(1, events)
  return { events, streams: lastRevisions.size, position: end, problems: problems.list() }
}

const readable = (event: StoredEvent): DomainEvent | undefined => {
  try {
    return decodeStored(event).event
  } catch (error) {
    if (error instanceof Failure) return undefined
    throw error
  }
}

const move = (balances: Map<string, bigint>, { debit, credit, amount: { amount, asset } }: Posting): void => {
  for (const [account, change] of [
    [debit, amount],
    [credit, -amount],
  ] as const) {
    const key = `${account} in ${asset}`
    balances.set(key, (balances.get(key) ?? 0n) + change)
  }
}

/** Resolves to those of some ids that really are stored twice. */
const idsStoredTwice = async (
  store: Pick<EventStore, 'readAll'>,
  suspects: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  if (suspects.size === 0) return []
  const counts = new Map<string, number>()
  for await (const { id } of store.readAll()) {
    signal.throwIfAborted()
    if (suspects.has(id)) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return [...counts].flatMap(([id, count]) => (count > 1 ? [id] : []))
}

type Damage = { readonly why: string; readonly isForeign: boolean }

/** Returns what an engine that refuses to read a stream has found there. Throws any other error. */
const damageIn = (error: unknown): Damage => {
  if (!isFailure(error, 'STREAM_DAMAGED')) throw error
  return { why: String(error.details.why), isForeign: error.details.foreignEvent !== undefined }
}

/** Resolves to the event of another program in a part of a stream, in words; undefined when there is none. */
const foreignIn = async (
  store: Pick<EventStore, 'readStream'>,
  stream: string,
  range: StreamRange,
): Promise<string | undefined> => {
  try {
    for await (const _ of store.readStream(stream, range));
    return undefined
  } catch (error) {
    const { why, isForeign } = damageIn(error)
    return isForeign ? why : undefined
  }
}

/** Resolves to what is wrong with a stream that is read by itself, as commands read it; undefined when nothing is. */
const damageOf = async (
  store: Pick<EventStore, 'readStream'>,
  stream: string,
  last: bigint,
): Promise<Damage | undefined> => {
  const damage = (why: string) => ({ why, isForeign: false })
  try {
    const [first] = await Array.fromAsync(store.readStream(stream, { limit: 1 }))
    if (first?.revision !== 0n) return damage(`it begins with revision ${first?.revision ?? 'none'}`)
    const [newest] = await Array.fromAsync(store.readStream(stream, { direction: 'backwards', limit: 1 }))
    if (newest === undefined || newest.revision < last)
      return damage(`it ends with revision ${newest?.revision ?? 'none'}, and the log has ${last}`)
    return undefined
  } catch (error) {
    return damageIn(error)
  }
}
