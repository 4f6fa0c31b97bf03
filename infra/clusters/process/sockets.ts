/** Reads which TCP sockets the machine has, and which sockets processes have open. */
import { createKernelReader, type KernelReader } from './kernel-files.ts'

/** What is read of the sockets of the machine: a line has 150 bytes. */
const tableBytesMax = 64 * 1024 ** 2
/** The open files and the time of one look; who has more, hides them. */
const filesMax = 500_000
const lookMsMax = 10_000
const linksAtOnce = 256
const detailBytesMax = 65_536
const detailsMax = 10_000
/** The state of a socket that listens, and where a line of /proc/net/tcp has its fields. */
const listening = '0A'
const [localField, stateField, uidField, inodeField] = [1, 3, 7, 9]
const tcpTables = ['tcp', 'tcp6']
/** Where a line of a table in /proc/net has the inode. */
const inodeFields = {
  ...{ tcp: 9, tcp6: 9, udp: 9, udp6: 9, udplite: 9, udplite6: 9, icmp: 9, icmp6: 9, raw: 9, raw6: 9 },
  ...{ unix: 6, netlink: 9, packet: 8 },
}

/** `address` is the local one, in the digits of Linux; `inode` is 0 where no process has the socket any more. */
export type Socket = {
  readonly address: string
  readonly port: number
  readonly uid: number
  readonly inode: string
  readonly listens: boolean
}

/** Parses a line of /proc/net/tcp or tcp6. Returns undefined for any other text. */
export const parseSocket = (line: string): Socket | undefined => {
  const fields = line.trim().split(/\s+/)
  const [, address, digits] = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(fields[localField] ?? '') ?? []
  const inode = fields[inodeField] ?? ''
  if (address === undefined || digits === undefined || !/^\d+$/.test(inode)) return undefined
  const [port, uid] = [Number.parseInt(digits, 16), Number(fields[uidField])]
  return { address, port, uid, inode, listens: fields[stateField] === listening }
}

/** Resolves to the TCP sockets of the machine on these ports, at whatever address. One that is bound and neither listens
 *  nor is connected Linux does not show. */
export const readSockets = async (kernel: KernelReader, ports: readonly number[]): Promise<Socket[]> => {
  const sockets: Socket[] = []
  for (const name of tcpTables)
    await kernel.lines(`/proc/net/${name}`, tableBytesMax, (line) => {
      const socket = parseSocket(line)
      if (socket && ports.includes(socket.port)) sockets.push(socket)
    })
  return sockets
}

/** The sockets that processes have open: where, by their inodes. `isHidden` where not all of them can be seen. */
export type OpenSockets = { readonly places: ReadonlyMap<string, string>; readonly isHidden: boolean }

/** Resolves to the sockets that processes have open. A thread may have left the table of open files of its process, so
 *  that each thread is looked at. */
export const openSocketsOf = async (pids: readonly number[], owner = ''): Promise<OpenSockets> => {
  const kernel = createKernelReader(owner)
  const places = new Map<string, string>()
  let isHidden = false
  let files = 0
  const namesIn = async (path: string) => {
    if (files > filesMax || kernel.spentMs() > lookMsMax) {
      isHidden = true
      return []
    }
    const names = await kernel.names(path, filesMax - files)
    if ('value' in names) return names.value
    isHidden ||= names.unread !== 'ended'
    return []
  }
  for (const pid of pids)
    for (const task of await namesIn(`/proc/${pid}/task`)) {
      const folder = `/proc/${pid}/task/${task}/fd`
      const paths = (await namesIn(folder)).map((name) => `${folder}/${name}`)
      files += paths.length
      for (let from = 0; from < paths.length; from += linksAtOnce) {
        const some = paths.slice(from, from + linksAtOnce)
        for (const [index, link] of (await kernel.links(some)).entries()) {
          const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1]
          if (inode !== undefined) places.set(inode, some[index] ?? '')
          // It keeps files that no table has.
          else if (link === 'anon_inode:[io_uring]') isHidden = true
        }
      }
    }
  return { places, isHidden }
}

/** Resolves to those of several holders that may have a socket which Linux does not show as theirs: they hide open files,
 *  have files on their way through a socket, or have a socket that is in no table of the machine. */
export const hidersOf = async <Holder extends { readonly open: OpenSockets }>(
  holders: readonly Holder[],
): Promise<ReadonlySet<Holder>> => {
  const kernel = createKernelReader()
  const unlisted = new Map<string, Holder>()
  for (const holder of holders) for (const inode of holder.open.places.keys()) unlisted.set(inode, holder)
  for (const [name, field] of Object.entries(inodeFields))
    await kernel.lines(`/proc/net/${name}`, tableBytesMax, (line) => {
      unlisted.delete(line.trim().split(/\s+/)[field] ?? '')
    })
  const hiders = new Set([...unlisted.values(), ...holders.filter(({ open }) => open.isHidden)])
  for (const holder of holders) {
    if (holder.open.places.size > detailsMax) hiders.add(holder)
    for (const place of holder.open.places.values()) {
      if (hiders.has(holder)) break
      const info = await kernel.text(place.replace('/fd/', '/fdinfo/'), detailBytesMax)
      if ('value' in info ? /^scm_fds:\s+[1-9]/m.test(info.value) : info.unread !== 'ended') hiders.add(holder)
    }
  }
  return hiders
}
