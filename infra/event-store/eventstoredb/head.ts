import type { Connection } from './client.ts'
import { isOurs, type ServerEvent, type ServerPage } from './events.ts'
import { serverFilter } from './filter.ts'
import { findEvent } from './find-event.ts'
import { isBeyond, type LogPosition } from './position.ts'

const pageMax = 500

export type OurEvent = ServerEvent & { readonly position: LogPosition }
/** The last event of this log among all events of the server up to a position, as a connection has shown it. */
type Found = { readonly last: OurEvent | undefined; readonly through: LogPosition; readonly link?: number | undefined }

/** Creates the search for the last event of this log, undefined when there is none. It goes backwards
 *  from the end of the server's log, and only to where the one before it began: other programs may have written a million
 *  events after the last of ours. What another connection has shown counts no more: the log may have been put back to
 *  before what others had written. */
export const createHead = ({
  readAll,
  readStream,
  link,
}: Pick<Connection, 'readAll' | 'readStream' | 'link'>): (() => Promise<OurEvent | undefined>) => {
  let before: Found | undefined

  const isThere = async (event: OurEvent | undefined): Promise<boolean> =>
    event === undefined || (await findEvent({ readStream }, event, event.position)) !== 'not there'

  const search = async (known: Found | undefined): Promise<Found | undefined> => {
    let from: LogPosition | 'end' = 'end'
    let through: LogPosition | undefined
    for (let count = 1; ; count = Math.min(count * 10, pageMax)) {
      const { events: page, isCut }: ServerPage = await readAll('backwards', from, count, serverFilter({}))
      through ??= page[0]?.position
      if (through === undefined) return undefined
      const last = page.find(isOurs)
      if (last) return { last, through }
      const end = page.at(-1)?.position
      // Another log may have taken its place.
      if (known && end && !isBeyond(known.through, through) && !isBeyond(end, known.through))
        return (await isThere(known.last)) ? { last: known.last, through } : search(undefined)
      if (end === undefined || (page.length < count && !isCut)) return { last: undefined, through }
      from = end
    }
  }

  return async () => {
    const now = link()
    const found = await search(now !== undefined && before?.link === now ? before : undefined)
    before = found && { ...found, link: now === link() ? now : undefined }
    return found?.last
  }
}
