import shared from '@eventstore/db-client/generated/shared_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import type { Direction } from './events.ts'
import type { ServerFilter } from './filter.ts'
import type { LogPosition } from './position.ts'

/** How many events the server scans before it checks whether it has found enough. */
const searchWindow = 500

/** Returns the request for a page of all events that pass a filter. */
export const readAllRequest = (
  direction: Direction,
  from: LogPosition | 'start' | 'end',
  count: number,
  filter: ServerFilter,
) => {
  const { Options } = messages.ReadReq
  const all = new Options.AllOptions()
  if (from === 'start') all.setStart(new shared.Empty())
  else if (from === 'end') all.setEnd(new shared.Empty())
  else
    all.setPosition(
      new Options.Position().setCommitPosition(String(from.commit)).setPreparePosition(String(from.prepare)),
    )
  const expression = new Options.FilterOptions.Expression().setRegex(filter.regex)
  const filtered = new Options.FilterOptions().setMax(searchWindow).setCheckpointintervalmultiplier(1)
  if (filter.on === 'type') filtered.setEventType(expression)
  else filtered.setStreamIdentifier(expression)
  const options = new Options()
    .setAll(all)
    .setReadDirection(direction === 'forwards' ? Options.ReadDirection.FORWARDS : Options.ReadDirection.BACKWARDS)
    .setResolveLinks(false)
    .setCount(String(count))
    .setFilter(filtered)
    .setUuidOption(new Options.UUIDOption().setString(new shared.Empty()))
  return new messages.ReadReq().setOptions(options)
}
