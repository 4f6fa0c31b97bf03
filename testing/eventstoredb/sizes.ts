import type { Proposed } from './log.ts'

/** The versions of the server whose answers differ. */
export type Release = '23.10' | '25.0'

/** How large an append may be, and each of its events; 23.10 has no limit for one event. */
export type Limits = { readonly release: Release; readonly appendBytesMax: number; readonly eventBytesMax: number }

export type TooLarge =
  | { readonly tooLarge: 'append'; readonly bytesMax: number }
  | { readonly tooLarge: 'event'; readonly id: string; readonly bytes: number; readonly bytesMax: number }

/** Returns what an event counts. Version 23.10 takes the data alone: `data?.Length ?? 0 + …` has the rest in its second
 *  operand. */
const bytesOf = ({ data, metadata, type }: Proposed, release: Release) =>
  release === '23.10' ? data.length : data.length + metadata.length + 2 * type.length

/** Returns which limit the events of an append exceed; undefined when none. */
export const tooLarge = (events: readonly Proposed[], limits: Limits): TooLarge | undefined => {
  const { release, appendBytesMax, eventBytesMax } = limits
  let sum = 0
  for (const event of events) {
    const bytes = bytesOf(event, release)
    if (release !== '23.10' && bytes > eventBytesMax)
      return { tooLarge: 'event', id: event.id, bytes, bytesMax: eventBytesMax }
    sum += bytes
  }
  return sum > appendBytesMax ? { tooLarge: 'append', bytesMax: appendBytesMax } : undefined
}
