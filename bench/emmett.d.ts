// The little of the peer that the benches use, in our words: so that all compiles also where the peer is not installed.
declare module '@event-driven-io/emmett-postgresql' {
  export type PeerEvent = { readonly type: string; readonly data: unknown; readonly metadata?: unknown }
  export type PeerMessage = PeerEvent & {
    readonly metadata: { readonly globalPosition: bigint; readonly streamName: string; readonly streamPosition: bigint }
  }
  type Consumer = { start(): Promise<void>; stop(): Promise<void>; close(): Promise<void> }
  type Pulling = { readonly batchSize?: number; readonly pullingFrequencyInMs?: number }
  type Reactor = {
    readonly processorId: string
    readonly startFrom?: 'BEGINNING' | { readonly lastCheckpoint: bigint }
    readonly eachMessage: (message: PeerMessage) => void | Promise<void>
    readonly stopAfter?: (message: PeerMessage) => boolean
  }
  export type PeerStore = {
    readonly schema: { migrate(): Promise<unknown> }
    appendToStream(
      stream: string,
      events: readonly PeerEvent[],
      options?: { readonly expectedStreamVersion?: bigint | 'STREAM_DOES_NOT_EXIST' },
    ): Promise<{ readonly nextExpectedStreamVersion: bigint }>
    readStream(stream: string): Promise<{ readonly events: readonly PeerMessage[] }>
    consumer(options: { readonly pulling?: Pulling }): Consumer & { reactor(options: Reactor): unknown }
    close(): Promise<void>
  }
  export const getPostgreSQLEventStore: (
    url: string,
    options: { readonly schema: { readonly autoMigration: 'None' } },
  ) => PeerStore
  export const pongoSingleStreamProjection: <Document extends object>(options: {
    readonly collectionName: string
    readonly canHandle: readonly string[]
    readonly evolve: (document: Document | null, event: PeerMessage) => Document | null
  }) => object
  export const rebuildPostgreSQLProjections: (options: {
    readonly connectionString: string
    readonly projections: readonly object[]
    readonly pulling?: Pulling
  }) => Consumer
}

declare module '@event-driven-io/dumbo' {
  export const endAllPools: () => Promise<unknown>
}
