import type { Batch, Filter, Position } from '../event-store/port.ts'

/** How events reach those who act on them outside the request. The embedded bus is the log itself; a broker may stand in.
 *  Delivery is at least once and in order per stream; whoever consumes must bear a repetition. */
export type Bus = {
  readonly name: string
  /** Calls `handle` with each batch and remembers, under the consumer's name, how far it came; starts there the next time.
   *  A batch whose handling throws is handed over again. Resolves when the signal aborts and the last batch is done. */
  consume(options: {
    readonly consumer: string
    readonly filter: Filter
    readonly signal: AbortSignal
    readonly handle: (batch: Batch) => Promise<void>
  }): Promise<void>
  /** How far the consumer has come; undefined when it never began. */
  position(consumer: string): Promise<Position | undefined>
}
