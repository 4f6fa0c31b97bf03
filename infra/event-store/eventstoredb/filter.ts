import type { Filter } from '../port.ts'
import { isName, isNamePrefix } from '../validation.ts'

/** The filter of the server: a .NET regular expression on the name of the type or of the stream. */
export type ServerFilter = { readonly on: 'type' | 'stream'; readonly regex: string }

/** Escapes the syntax of .NET expressions: the characters of its own Regex.Escape, and the two closing brackets. */
const escaped = (text: string) => text.replace(/[\\*+?|{}[\]()^$.#]/g, '\\$&')

const nothing: ServerFilter = { on: 'type', regex: '(?!)' }
/** System events, links and metadata have a type that begins with $. */
const noSystemEvents: ServerFilter = { on: 'type', regex: '^[^$]' }

/** Returns the filter for the server. The server filters by type or by stream, not by both: by type when types are
 *  given. Its events are filtered again here (`passes`), so it may return too many but must not omit a match. Hence
 *  no list of prefixes: the server compares those by the rules of a culture, where "e" with an accent does not begin
 *  with "e". */
export const serverFilter = ({ types, streamPrefix }: Filter): ServerFilter => {
  if (types !== undefined) {
    const names = types.filter(isName)
    return names.length === 0 ? nothing : { on: 'type', regex: `^(?:${names.map(escaped).join('|')})$` }
  }
  if (!streamPrefix) return noSystemEvents
  return isNamePrefix(streamPrefix) ? { on: 'stream', regex: `^${escaped(streamPrefix)}` } : nothing
}

/** Returns true when an event passes the filter of the port. */
export const passes = (
  { types, streamPrefix }: Filter,
  { stream, type }: { readonly stream: string; readonly type: string },
): boolean =>
  (types === undefined || types.includes(type)) &&
  (streamPrefix === undefined || (isNamePrefix(streamPrefix) && stream.startsWith(streamPrefix)))
