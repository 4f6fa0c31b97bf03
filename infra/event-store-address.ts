/** An address of an EventStoreDB or KurrentDB server, or of a cluster. `discover`: the one host is a name of all nodes.
 *  The names of options are in lower case, without - and _, as the server's clients compare them. */
export type EventStoreDbAddress = {
  readonly discover: boolean
  readonly username: string | undefined
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly options: ReadonlyMap<string, string>
  /** The address as `@eventstore/db-client` takes it: its schemes are the older ones, and it takes a slash before the
   *  options for a part of the host. */
  readonly forClient: string
}

const schemes = ['esdb', 'esdb+discover', 'kurrentdb', 'kurrentdb+discover']
const portDefault = 2113
const portMax = 65_535
/** What a cluster has at most, with room for more. */
const hostsMax = 100
const characters = 10_000
/** The characters that a name of a host cannot have. */
const outsideNames = /[\s$+!?*'(),;[\]{}|"%~#<>=&:@/]/

const hostOf = (text: string) => {
  const [host = '', portText = String(portDefault), ...rest] = text.trim().split(':')
  const port = Number(portText)
  if (host === '' || outsideNames.test(host) || rest.length > 0) return undefined
  return /^\d{1,5}$/.test(portText) && port >= 1 && port <= portMax ? { host, port } : undefined
}

/** Returns the parts of an address as the server's clients read it: `esdb://user:password@a:2113,b:2113?tls=false`.
 *  Returns undefined for any other text. */
export const parseEventStoreDbAddress = (text: string): EventStoreDbAddress | undefined => {
  const end = text.indexOf('://')
  if (text.length > characters || end < 0 || !schemes.includes(text.slice(0, end))) return undefined
  const rest = text.slice(end + 3)
  const at = rest.indexOf('@')
  const colon = rest.indexOf(':')
  const hasUser = at >= 0 && colon > 0 && colon < at - 1
  const [hostsText = '', query, ...more] = (hasUser ? rest.slice(at + 1) : rest).split('?')
  if (more.length > 0) return undefined
  const hosts = hostsText.replace(/\/$/, '').split(',').map(hostOf)
  const known = hosts.filter((host) => host !== undefined)
  if (known.length < hosts.length || known.length > hostsMax) return undefined
  const options = new Map<string, string>()
  for (const pair of query === undefined ? [] : query.replace(/\/$/, '').split('&')) {
    const equals = pair.indexOf('=')
    if (equals < 1 || equals === pair.length - 1) return undefined
    options.set(pair.slice(0, equals).toLowerCase().replace(/[_-]/g, ''), pair.slice(equals + 1))
  }
  const discover = text.slice(0, end).endsWith('+discover')
  const credentials = hasUser ? rest.slice(0, at + 1) : ''
  const names = known.map(({ host, port }) => `${host}:${port}`).join(',')
  const forClient = `esdb${discover ? '+discover' : ''}://${credentials}${names}${query === undefined ? '' : `?${query}`}`
  return { discover, username: hasUser ? rest.slice(0, colon) : undefined, hosts: known, options, forClient }
}
