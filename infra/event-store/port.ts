/** The port of the event log. Everything that happens in the platform is an event in one stream, and all streams
 *  share one order. */

declare const positionBrand: unique symbol
/** A position in the log. Opaque: only a store makes it. Positions of the same store compare as strings; never
 *  compute with them. */
export type Position = string & { readonly [positionBrand]: true }

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** The actor, cause and time of an event. `commandId` is the request that caused the event, all events that follow
 *  from one request share its `correlationId`, `causationId` is the event or command directly before. `time` is ISO
 *  8601 in UTC, `schemaVersion` counts from 1. */
export type Metadata = {
  readonly commandId: string
  readonly correlationId: string
  readonly causationId: string
  readonly actor: string
  readonly time: string
  readonly schemaVersion: number
}

/** An event to append. `id` is a UUID and its idempotency key: appending the same ids again, in the same stream and
 *  order, returns the outcome of the first time. Type and data must be the same then; the metadata may differ, since
 *  a repetition is requested later. */
export type NewEvent = { readonly id: string; readonly type: string; readonly data: Json; readonly metadata: Metadata }

/** `revision` counts from 0 in its stream. */
export type StoredEvent = NewEvent & { readonly stream: string; readonly revision: bigint; readonly position: Position }

/** A number is the exact revision that the stream must be at. */
export type ExpectedRevision = bigint | 'no stream' | 'stream exists' | 'any'

/** `repeated` is true when these events were stored already; revision and position are then those of the first time. */
export type Appended = {
  readonly outcome: 'appended'
  readonly revision: bigint
  readonly position: Position
  readonly repeated: boolean
}
/** Nothing was written. `actual` is undefined when the stream does not exist. */
export type Conflict = { readonly outcome: 'conflict'; readonly stream: string; readonly actual: bigint | undefined }

/** Nothing was written: some of these event ids are stored already, and this append is no repetition of what was
 *  stored. */
export type IdsKnown = { readonly outcome: 'ids known'; readonly stream: string; readonly problem: IdProblem }

/** `partly known`: only some of the ids are stored. `known elsewhere`: they are in another stream or order. `other
 *  content`: they have another type or other data. */
export type IdProblem = 'partly known' | 'known elsewhere' | 'other content'

export type AppendOutcome = Appended | Conflict | IdsKnown

/** One `Appended` per stream in the order of the request, or the reason why nothing was written. */
export type AppendToManyOutcome = readonly Appended[] | Conflict | IdsKnown

export type Append = {
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly events: readonly NewEvent[]
}

export type StreamRange = {
  readonly direction?: 'forwards' | 'backwards'
  /** The first revision to yield, in reading direction. */
  readonly from?: bigint
  readonly limit?: number
  /** Ends before the first event whose time is later than this moment (ISO 8601 in UTC), or before the first after this
   *  position. So the result is always a state that the stream once had. */
  readonly untilTime?: string
  readonly untilPosition?: Position
}

export type Filter = { readonly types?: readonly string[]; readonly streamPrefix?: string }

export type AllRange = Filter & {
  readonly direction?: 'forwards' | 'backwards'
  /** Exclusive, in reading direction. Without it, reading starts at the beginning (or, backwards, at the end). */
  readonly after?: Position
  readonly limit?: number
}

/** `position` is how far the log was scanned: it advances also when no event passed the filter. `bytes` is about the
 *  length of the events' JSON: a batch is cut by it as well. */
export type Batch = { readonly events: readonly StoredEvent[]; readonly position: Position; readonly bytes: number }

export type SubscribeOptions = Filter & {
  /** Exclusive. Without it, the subscription starts at the beginning. */
  readonly after?: Position
  readonly batchSize?: number
  /** With false, nothing is read while the caller holds a batch: only while it waits for the next. */
  readonly readAhead?: boolean
  readonly signal: AbortSignal
}

/** The differences that engines may have: everything else in this file holds for each of them. */
export type Capabilities = {
  /** Whether appendToMany works. */
  readonly appendToMany: boolean
  /** The scope in which event ids are unique. `log`: an id that is stored in another stream is refused. `stream`: it
   *  is not noticed there. */
  readonly idsKnownWithin: 'log' | 'stream'
  /** Whether appended events outlive the process. */
  readonly durable: boolean
  /** What limits the size of one append: this port (64 MiB), or a setting of the server. A larger one is
   *  EVENT_INVALID. */
  readonly sizesSetBy: 'port' | 'server'
  /** The unit of `distance`. */
  readonly distanceIn: 'events' | 'bytes'
}

export type EventStore = {
  readonly name: string
  readonly capabilities: Capabilities

  /** Appends to one stream, all or nothing. Throws EVENT_INVALID when an event cannot be stored, and
   *  DATABASE_UNAVAILABLE when the outcome is unknown: the same call again returns the true outcome. */
  append(append: Append): Promise<AppendOutcome>

  /** Appends to several streams, all or nothing. Only for engines with the capability `appendToMany`. */
  appendToMany(appends: readonly Append[]): Promise<AppendToManyOutcome>

  /** Yields the events of one stream. An unknown stream is empty. */
  readStream(stream: string, range?: StreamRange): AsyncIterable<StoredEvent>

  /** Yields the events of all streams in the order of the log, up to its head when reading begins. Throws
   *  POSITION_FOREIGN for a position of another store. */
  readAll(range?: AllRange): AsyncIterable<StoredEvent>

  /** Catches up from a position, then waits for new events. Skips none, repeats none, keeps their order. The caller
   *  sets the pace: at most one batch is read ahead. Ends when the signal aborts. */
  subscribe(options: SubscribeOptions): AsyncIterable<Batch>

  /** Resolves to the last position, or to `start` for an empty log. */
  head(): Promise<Position>

  /** The position before the first event. */
  readonly start: Position

  /** Checks a position that came from outside. Throws POSITION_FOREIGN when this store did not make it. */
  parsePosition(text: string): Position

  /** Returns the distance from one position to a later one: for progress and lag, never to make a position. The
   *  capabilities have its unit: events, or bytes of the log. */
  distance(from: Position, to: Position): number

  close(): Promise<void>
}
