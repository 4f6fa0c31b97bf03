/** The log. Every fact of the platform is an event in one stream, and all streams share one order. */

declare const positionBrand: unique symbol
/** A place in the log. Opaque: made by a store, comparable as a string with positions of the same store, never computed with. */
export type Position = string & { readonly [positionBrand]: true }

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Who, why and when. `commandId` is the request that caused the event, `correlationId` is shared by all that follows from
 *  one request, `causationId` is the event or command directly before. `time` is ISO 8601 in UTC, `schemaVersion` counts from 1. */
export type Metadata = {
  readonly commandId: string
  readonly correlationId: string
  readonly causationId: string
  readonly actor: string
  readonly time: string
  readonly schemaVersion: number
}

/** `id` is a UUID and the identity of the fact: appending the same ids again, in the same stream and order, answers as the
 *  first time did. Type and data must be the same then; the metadata may differ, since a repetition is asked later. */
export type NewEvent = { readonly id: string; readonly type: string; readonly data: Json; readonly metadata: Metadata }

/** `revision` counts from 0 in its stream. */
export type StoredEvent = NewEvent & { readonly stream: string; readonly revision: bigint; readonly position: Position }

/** A number is the exact revision that the stream must be at. */
export type ExpectedRevision = bigint | 'no stream' | 'stream exists' | 'any'

/** `repeated` says that these events were there already; revision and position are then those of the first time. */
export type Appended = {
  readonly outcome: 'appended'
  readonly revision: bigint
  readonly position: Position
  readonly repeated: boolean
}
/** Nothing was written. `actual` is undefined when the stream does not exist. */
export type Conflict = { readonly outcome: 'conflict'; readonly stream: string; readonly actual: bigint | undefined }

/** Nothing was written: some of these event ids are stored already, and this append is no repetition of what was stored. */
export type IdsKnown = { readonly outcome: 'ids known'; readonly stream: string; readonly problem: IdProblem }

/** `partly known`: others of them are not stored. `known elsewhere`: they are in another stream or order. `other content`: they
 *  have another type or other data. */
export type IdProblem = 'partly known' | 'known elsewhere' | 'other content'

export type AppendOutcome = Appended | Conflict | IdsKnown

export type Append = {
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly events: readonly NewEvent[]
}

export type StreamRange = {
  readonly direction?: 'forwards' | 'backwards'
  /** The first revision to give, in reading direction. */
  readonly from?: bigint
  readonly limit?: number
  /** End before the first event whose time is later than this moment (ISO 8601 in UTC), or before the first after this
   *  position; so what is read is always a history that was. */
  readonly untilTime?: string
  readonly untilPosition?: Position
}

export type Filter = { readonly types?: readonly string[]; readonly streamPrefix?: string }

export type AllRange = Filter & {
  readonly direction?: 'forwards' | 'backwards'
  /** Exclusive, in reading direction; left out: from the beginning (or, backwards, from the end). */
  readonly after?: Position
  readonly limit?: number
}

/** `position` is how far the log was looked through: it moves on also when no event passed the filter. */
export type Batch = { readonly events: readonly StoredEvent[]; readonly position: Position }

export type SubscribeOptions = Filter & {
  /** Exclusive; left out: from the beginning. */
  readonly after?: Position
  readonly batchSize?: number
  readonly signal: AbortSignal
}

/** In what engines differ, and may: all else of this page holds for each of them. */
export type Capabilities = {
  /** Whether appendToMany works. */
  readonly appendToMany: boolean
  /** Within what an event id is known. `log`: ids that are stored already in another stream are refused. `stream`: they are not
   *  noticed there. */
  readonly idsKnownWithin: 'log' | 'stream'
  /** Whether what was appended outlives the process. */
  readonly durable: boolean
  /** Who says how large one append may be: this port (64 MiB), or a setting of the server. What is larger is EVENT_INVALID. */
  readonly sizesSetBy: 'port' | 'server'
}

export type EventStore = {
  readonly name: string
  readonly capabilities: Capabilities

  /** Appends to one stream, all or nothing. Throws EVENT_INVALID when an event cannot be stored and DATABASE_UNAVAILABLE
   *  when the outcome is unknown: the same call again tells the truth. */
  append(append: Append): Promise<AppendOutcome>

  /** Appends to several streams, all or nothing; the answers are in the order asked. Only where capabilities say so. */
  appendToMany(appends: readonly Append[]): Promise<readonly Appended[] | Conflict | IdsKnown>

  /** One stream. An unknown stream is empty. */
  readStream(stream: string, range?: StreamRange): AsyncIterable<StoredEvent>

  /** All streams in the order of the log, up to the head of when the reading began. Throws POSITION_FOREIGN for a position of another store. */
  readAll(range?: AllRange): AsyncIterable<StoredEvent>

  /** Catches up from a position, then waits for what comes. Never skips, never repeats, in order. The caller's pace is the
   *  pace: nothing is read ahead further than one batch. Ends when the signal aborts. */
  subscribe(options: SubscribeOptions): AsyncIterable<Batch>

  /** The last position, or `start` of an empty log. */
  head(): Promise<Position>

  /** Before the first event. */
  readonly start: Position

  /** Checks a position that came from outside. Throws POSITION_FOREIGN when this store did not make it. */
  parsePosition(text: string): Position

  /** How far it is from one position to a later one: for progress and lag, never to make a position. In what the store counts
   *  by: events, or bytes of its log. */
  distance(from: Position, to: Position): number

  close(): Promise<void>
}
