import type { Filter } from '../port.ts'
import { isName, isNamePrefix } from '../validation.ts'

/** What the server is asked to leave out: a .NET regular expression on one of two names. */
export type ServerFilter = { readonly on: 'type' | 'stream'; readonly regex: string }

/** What .NET takes for syntax, as its own Regex.Escape has it, and the two closing brackets. */
const escaped = (text: string) => text.replace(/[\\*+?|{}[\]()^$.#]/g, '\\$&')

const nothing: ServerFilter = { on: 'type', regex: '(?!)' }
/** System events, links and metadata have a type that begins with $. */
const noSystemEvents: ServerFilter = { on: 'type', regex: '^[^$]' }

/** The server filters by type or by stream, not by both: by type where types are asked for. What it lets through is filtered
 *  again here (`passes`), so that it may let through more but must not leave out what is asked for. Hence no list of
 *  prefixes: the server compares those by the rules of a culture, to which "e" is no beginning of "e" with an accent. */
export const serverFilter = ({ types, streamPrefix }: Filter): ServerFilter => {
  if (types !== undefined) {
    const names = types.filter(isName)
    return names.length === 0 ? nothing : { on: 'type', regex: `^(?:${names.map(escaped).join('|')})$` }
  }
  if (!streamPrefix) return noSystemEvents
  return isNamePrefix(streamPrefix) ? { on: 'stream', regex: `^${escaped(streamPrefix)}` } : nothing
}

export const passes = (
  { types, streamPrefix }: Filter,
  { stream, type }: { readonly stream: string; readonly type: string },
): boolean =>
  (types === undefined || types.includes(type)) &&
  (streamPrefix === undefined || (isNamePrefix(streamPrefix) && stream.startsWith(streamPrefix)))
