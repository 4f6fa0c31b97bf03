/** What processes hold without a name and without mapping it: files in memory, pipes, and files of the disk that are
 *  removed but open. */
import type { BigIntStats } from 'node:fs'
import { readIpcTable } from './ipc-table.ts'
import { closedBy, createKernelReader, hasLeft, placeOf, type Read, type Unread } from './kernel-files.ts'

/** Open files and mappings that are looked at; an attempt with more cannot be measured. */
export const handlesMax = 500_000
/** The text of all mappings of an attempt. A line has a hundred bytes, but a path may have 16,000. */
const mapsBytesMax = 64 * 1024 ** 2
/** How long the reads of one look may take: what is taken meanwhile is not seen. */
const lookMsMax = 30_000
const filesAtOnce = 16
const mountsBytesMax = 4 * 1024 ** 2
const segmentsBytesMax = 16 * 1024 ** 2
const socketBytesMax = 65_536
/** What one pipe takes once the pipes of its user are over their common limit (pipe-user-pages-soft). */
const pipeBytes = 8_192
const blockBytes = 512
const mebibyte = 1024 ** 2
/** The file systems in memory whose files say how many blocks they take (TMPFS_MAGIC). */
const tmpfsType = 0x01021994
const mapPattern = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+) (\d+)/
const typeMask = 0o170_000n
const [fifoType, socketType, plainType, noType] = [0o010_000n, 0o140_000n, 0o100_000n, 0n]

/** What processes hold beside their pages, in MiB: `mapped` is shared memory of which pages may be counted too.
 *  `diskBytes` is what they hold of the disk without a name, in `diskFiles` files. `hidden` is what could not be seen this time, `unmeasured`
 *  what never can; `ending` are the processes that have not shown what they hold but are about to give it back. */
export type Held = {
  readonly mapped: number
  readonly unmapped: number
  readonly diskBytes: number
  readonly diskFiles: number
  readonly hidden?: string
  readonly ending?: readonly number[]
  readonly unmeasured?: string
}

export type HeldOptions = {
  /** The user of the attempt, where segments of System V outlive its processes. */
  readonly uid: number | undefined
  /** A folder of the job: its owner has what the job writes. */
  readonly folder: string
  readonly signal?: AbortSignal
}

type Kept = { readonly bytes: number; readonly of: 'memory' | 'disk'; mapped: boolean }

/** Returns the segments of a user in the text of /proc/sysvipc/shm, in bytes. */
export const segmentBytes = (text: string, uid: number): number => {
  return readIpcTable(text)
    .filter((row) => Number(row('uid')) === uid || Number(row('cuid')) === uid)
    .reduce((sum, row) => sum + Number(row('rss')) + Number(row('swap')), 0)
}

const seen = <Value>(read: Read<Value>): Value | undefined => ('value' in read ? read.value : undefined)

/** Returns the number of a device as stat has it, of "major:minor" in hexadecimal digits as mappings have it, or in
 *  others. */
const deviceNumber = (text: string, prefix = '0x'): bigint => {
  const [major = 0n, minor = 0n] = text.split(':').map((part) => BigInt(prefix + part))
  return (minor & 0xffn) | (major << 8n) | ((minor & ~0xffn) << 12n)
}

/** Returns the devices of all file systems in the text of /proc/self/mountinfo. */
const mountedDevices = (text: string): ReadonlySet<bigint> =>
  new Set([...text.matchAll(/^\d+ \d+ (\d+:\d+) /gm)].map(([, device = '']) => deviceNumber(device, '')))

const hides = (what: string) => ({ hidden: `Its memory cannot be measured: ${what}.` })
const never = (what: string) => ({ unmeasured: `Its memory cannot be measured: ${what}.` })
const reasonOf = (unread: Unread, pid: number) => {
  if (unread === 'slow') return never('Linux takes too long to show it')
  if (unread === 'long') return never('its mappings or open files are too many')
  return unread === 'closed' && closedBy(pid) === 'hiding' ? hides('a process hides its open files') : {}
}

/** Resolves to what these processes hold. */
export const lookAtHeld = async (pids: readonly number[], options: HeldOptions): Promise<Held> => {
  const { uid, folder, signal } = options
  const kernel = createKernelReader(folder)
  const home = seen(await kernel.file(folder))
  const machineShm = seen(await kernel.file('/dev/shm'))?.dev
  const kept = new Map<string, Kept>()
  const [pipes, sockets] = [new Set<string>(), new Set<string>()]
  const mounts = seen(await kernel.text('/proc/self/mountinfo', mountsBytesMax))
  const mounted = mounts === undefined ? undefined : mountedDevices(mounts)
  const fileSystems = new Map<bigint, { readonly type: number; readonly blocks: number } | undefined>()
  const inMemory = new Map<bigint, boolean>()
  const ownShm = new Map<bigint, number>()
  let reasons: Pick<Held, 'hidden' | 'unmeasured'> = {}
  const ending: number[] = []
  let [handles, mapsBytes] = [0, 0]
  const isOver = () => signal?.aborted || reasons.unmeasured !== undefined
  const note = (found: typeof reasons) => {
    reasons = { ...reasons, ...found }
  }
  const count = () => {
    handles += 1
    if (handles > handlesMax) note(never(`it has more than ${handlesMax} open files and mappings`))
    if (kernel.spentMs() > lookMsMax) note(never('Linux takes too long to show it'))
  }

  /** Returns whether a file lies on a file system that is mounted neither on this machine nor for these processes: that of
   *  another attempt, which may have ended. */
  const isElsewhere = (device: bigint) => mounted !== undefined && !mounted.has(device) && !ownShm.has(device)
  const fileSystemOf = async (path: string, device: bigint) => {
    if (!fileSystems.has(device)) {
      const found = seen(await kernel.fileSystem(path))
      // The job may have put another file in its place between the two.
      if (!found || seen(await kernel.file(path))?.dev !== device) return undefined
      fileSystems.set(device, { type: found.type, blocks: found.blocks })
    }
    return fileSystems.get(device)
  }
  /** Resolves to whether a file that is mapped lies in memory. Of each device, one file shows it. */
  const isInMemory = async (path: string, device: bigint): Promise<boolean> => {
    if (!inMemory.has(device)) inMemory.set(device, (await fileSystemOf(path, device))?.type === tmpfsType)
    return inMemory.get(device) === true
  }
  /** Looks at a file behind a link of /proc. What has an inode on no disk is memory, whatever Linux calls it. */
  const lookBehind = async (pid: number, path: string, mapped: boolean, read: Read<BigIntStats>): Promise<void> => {
    if ('unread' in read) {
      // Only root may look behind a mapping. For others its pages count, of which the kernel keeps the sum.
      if (!mapped || read.unread === 'slow') note(reasonOf(read.unread, pid))
      return
    }
    const { dev, ino, mode, nlink, size, blocks, uid: owner } = read.value
    const key = `${dev}:${ino}`
    const known = kept.get(key)
    if (known) known.mapped ||= mapped
    const type = mode & typeMask
    if (type === fifoType) pipes.add(key)
    else if (type === socketType) await lookAtSocket(pid, key, path)
    else if (!known && !ownShm.has(dev) && (type === plainType || type === noType)) {
      const system = dev === home?.dev ? undefined : await fileSystemOf(path, dev)
      const bytes = Number(blocks) * blockBytes
      if (system?.type === tmpfsType) {
        if (nlink === 0n || isElsewhere(dev)) kept.set(key, { bytes, of: 'memory', mapped })
      } else if (system?.blocks === 0) {
        // Files of /proc and /sys have a path; all that has none lies on a file system of the kernel alone.
        const link = seen(await kernel.link(path)) ?? ''
        if (!link.startsWith('/') || link.endsWith(' (deleted)'))
          kept.set(key, { bytes: Math.max(bytes, Number(size)), of: 'memory', mapped })
        // Whichever job made it, it takes room as long as these hold it. Root makes none for a job.
      } else if (nlink === 0n && (owner === home?.uid || owner !== 0n)) kept.set(key, { bytes, of: 'disk', mapped })
    }
  }
  const lookAtSocket = async (pid: number, key: string, path: string) => {
    if (sockets.has(key)) return
    sockets.add(key)
    const info = await kernel.text(path.replace('/fd/', '/fdinfo/'), socketBytesMax)
    if ('unread' in info) note(reasonOf(info.unread, pid))
    else if (/^scm_fds:\s+([1-9]\d*)/m.test(info.value)) note(hides('open files wait in a socket and are not received'))
  }

  const lookAtMaps = async (pid: number, place: string) => {
    const removed = new Map<string, string>()
    const elsewhere = new Map<string, bigint>()
    const unread = await kernel.lines(`${place}/maps`, mapsBytesMax - mapsBytes, (line) => {
      count()
      mapsBytes += line.length + 1
      const [, from = '', to = '', device, inode] = mapPattern.exec(line) ?? []
      if (!inode || inode === '0') return
      const number = deviceNumber(device ?? '')
      const key = `${number}:${inode}`
      if (!/ \(deleted\)$| [^/[\s]\S*$/.test(line)) {
        // A file system in memory has no major number.
        if ((number & 0xfff00n) !== 0n || !isElsewhere(number)) return
        elsewhere.set(key, number)
      }
      removed.set(key, [from, to].map((address) => address.replace(/^0+(?=.)/, '')).join('-'))
    })
    if (unread) note(reasonOf(unread, pid))
    // Linux shows what lies behind the mappings at the first thread alone.
    if (removed.size > 0 && place !== `/proc/${pid}`) note(hides('the first thread of a process has ended'))
    for (const [key, range] of removed) {
      if (isOver()) return
      const known = kept.get(key)
      if (known) known.mapped = true
      else {
        const path = `/proc/${pid}/map_files/${range}`
        const device = elsewhere.get(key)
        if (device !== undefined && !(await isInMemory(path, device))) continue
        await lookBehind(pid, path, true, await kernel.file(path))
      }
    }
  }
  /** Looks at the job's own /dev/shm; it may be that of the machine. */
  const lookAtShm = async (place: string) => {
    const path = `${place}/root/dev/shm`
    const device = seen(await kernel.file(path))?.dev
    if (device === undefined || device === machineShm) return
    const found = seen(await kernel.fileSystem(path))
    if (found) ownShm.set(device, found.bsize * (found.blocks - found.bfree))
  }

  for (const pid of pids) {
    if (isOver()) break
    const place = placeOf(pid)
    await lookAtShm(place)
    const names = await kernel.names(`${place}/fd`, handlesMax)
    if ('unread' in names) {
      note(reasonOf(names.unread, pid))
      if (names.unread === 'closed' && closedBy(pid) === 'ending') ending.push(pid)
    }
    const paths = (seen(names) ?? []).map((name) => `${place}/fd/${name}`)
    for (let from = 0; from < paths.length && !isOver(); from += filesAtOnce) {
      const some = paths.slice(from, from + filesAtOnce)
      const reads = await kernel.files(some)
      for (const [index, read] of reads.entries()) {
        count()
        await lookBehind(pid, some[index] ?? '', false, read)
      }
    }
    if (!isOver()) await lookAtMaps(pid, place)
    if (hasLeft(pid, place)) note(hides('a process ends its threads before they are read'))
  }
  const segments = uid === undefined ? undefined : await kernel.text('/proc/sysvipc/shm', segmentsBytesMax)
  if (segments && 'unread' in segments && segments.unread !== 'ended') note(hides('its segments cannot be read'))
  const sum = (of: Kept['of'], mapped?: boolean) =>
    [...kept.values()].reduce(
      (bytes, file) => bytes + (file.of === of && file.mapped === (mapped ?? file.mapped) ? file.bytes : 0),
      0,
    )
  const shm = [...ownShm.values()].reduce((bytes, one) => bytes + one, 0)
  const ofUser = segments && uid !== undefined ? segmentBytes(seen(segments) ?? '', uid) : 0
  return {
    mapped: (sum('memory', true) + shm + ofUser) / mebibyte,
    unmapped: (sum('memory', false) + pipes.size * pipeBytes) / mebibyte,
    diskBytes: sum('disk'),
    diskFiles: [...kept.values()].filter((file) => file.of === 'disk').length,
    ...(ending.length > 0 && { ending }),
    ...reasons,
  }
}
