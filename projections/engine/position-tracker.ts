import { Failure } from '../../domain/errors.ts'
import { sleep } from '../../infra/async/sleep.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { createWaiters } from './waiters.ts'

/** The interval at which the checkpoints of other processes are read, while a caller waits for them. */
const pollMs = 20

export type PositionTracker = {
  /** Reports that the live rows of a read model reflect the log up to this position. */
  reached(name: string, position: string): void
  /** Resolves when the live rows of these read models reflect the log up to this position. Throws POSITION_NOT_REACHED
   *  after `timeoutMs`, or when the tracker is closed. */
  waitFor(position: Position, timeoutMs: number, names?: readonly string[]): Promise<void>
  /** Reports that a read model may run elsewhere from now on: callers may wait for it already. */
  moved(): void
  /** Resolves when the log reaches this position. Throws POSITION_AHEAD at once when it does not. */
  checkExists(position: Position): Promise<void>
  close(): void
}

/** Creates the tracker of the positions up to which each read model reflects the log. A step of a read model costs
 *  nothing but the callers whose wait it ends.
 *  @param names the read models that callers wait for when they name none.
 *  @param isElsewhere returns true for a read model that runs in another process: `readPositions` reads its checkpoint
 *  while a caller waits for it. */
export const createPositionTracker = ({
  names: allNames,
  isElsewhere,
  readPositions,
  head,
}: {
  readonly names: readonly string[]
  readonly isElsewhere: (name: string) => boolean
  readonly readPositions: (
    names: readonly string[],
  ) => Promise<readonly { readonly projection: string; readonly position: string }[]>
  readonly head: () => Promise<Position>
}): PositionTracker => {
  const positions = new Map<string, string>()
  const waiters = new Map(allNames.map((name) => [name, createWaiters()] as const))
  let isPolling = false
  let isClosed = false
  /** The furthest position that was seen. Callers that ask at the same time share one reading of the head. */
  let known = ''
  let readingHead: Promise<void> | undefined

  const isBehind = (name: string, position: Position) => (positions.get(name) ?? '') < position

  const reached = (name: string, position: string) => {
    positions.set(name, position)
    if (position > known) known = position
    waiters.get(name)?.reached(position)
  }

  const pollElsewhere = async () => {
    if (isPolling) return
    isPolling = true
    const wanted = () => [...waiters].flatMap(([name, { count }]) => (count() > 0 && isElsewhere(name) ? [name] : []))
    for (let names = wanted(); names.length > 0; names = wanted()) {
      // During an outage the callers wait on, until their time is over.
      const found = await readPositions(names).catch(() => [])
      for (const { projection, position } of found) if (isElsewhere(projection)) reached(projection, position)
      if (wanted().length > 0) await sleep(pollMs)
    }
    isPolling = false
  }

  const readHead = async () => {
    try {
      const end = await head()
      if (end > known) known = end
    } finally {
      readingHead = undefined
    }
  }

  return {
    reached,
    moved: () => void pollElsewhere(),
    waitFor: async (position, timeoutMs, names = allNames) => {
      const until = performance.now() + timeoutMs
      const behind = () => names.filter((name) => waiters.has(name) && isBehind(name, position))
      let late = behind()
      // A read model may have been put back while others were waited for.
      for (let ms = timeoutMs; late.length > 0 && ms > 0 && !isClosed; ms = until - performance.now()) {
        const reaching = late.map((name) => waiters.get(name)?.wait(position, ms))
        void pollElsewhere()
        await Promise.all(reaching)
        late = behind()
      }
      if (late.length > 0) throw new Failure('POSITION_NOT_REACHED', { position, behind: late.join(', ') })
    },
    checkExists: async (position) => {
      // A reading that is under way may have begun before the event was appended.
      if (position > known && readingHead) await readingHead
      if (position > known) {
        readingHead ??= readHead()
        await readingHead
      }
      if (position > known) throw new Failure('POSITION_AHEAD', { position, head: known })
    },
    close: () => {
      isClosed = true
      for (const own of waiters.values()) own.close()
    },
  }
}
