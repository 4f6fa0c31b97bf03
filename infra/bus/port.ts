import type { Batch, Filter, Position } from '../event-store/port.ts'

/** Delivers events to consumers outside the request. The embedded bus is the log itself; a broker may take its place.
 *  Delivery is at least once and in order per stream, so consumers must be idempotent. */
export type Bus = {
  readonly name: string
  /** Calls `handle` with each batch, and stores the position under the consumer's name, where it starts the next time.
   *  Repeats a batch whose handling throws. Resolves when the signal aborts and the last batch is done. */
  consume(options: {
    readonly consumer: string
    readonly filter: Filter
    readonly signal: AbortSignal
    readonly handle: (batch: Batch) => Promise<void>
  }): Promise<void>
  /** Resolves to the stored position of the consumer; undefined when it never began. */
  position(consumer: string): Promise<Position | undefined>
}
