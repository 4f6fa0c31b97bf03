import { v5, v7 } from 'uuid'

/** Fixed for ever: every derived id hangs on it. */
const namespace = '6f2c1e0a-3b54-4d5e-9a53-0d3f0a1f7c11'

/** A new id, ordered by time. */
export const newId = (): string => v7()

/** The same parts give the same id, wherever and however often it is asked: this is what makes two walks of one process meet. */
export const derivedId = (...parts: readonly string[]): string => v5(JSON.stringify(parts), namespace)

/** The id of the n-th event of a command (from 0): made of the command and of its time (ISO 8601), so that it is the same
 *  wherever the same command is answered. A UUID of version 8 whose first 48 bits are the time in milliseconds, as in version 7:
 *  ids that come one after the other lie side by side in the index of a store, however long the log is (ADR 17). */
export const eventIdOf = (commandId: string, index: number, time: string): string => {
  const name = derivedId(commandId, String(index))
  const moment = Math.max(0, Date.parse(time) || 0)
    .toString(16)
    .padStart(12, '0')
    .slice(-12)
  return `${moment.slice(0, 8)}-${moment.slice(8)}-8${name.slice(15)}`
}
