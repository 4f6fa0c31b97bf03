/** Measures the memory of an attempt by what /proc shows of its processes: their pages, and what they hold without mapping
 *  it. */
import { readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createBreather } from '../../async/breather.ts'
import { errorCode } from '../../system/errors.ts'
import { isRunning, readProcessFile } from '../../system/processes.ts'

/** Open files and mappings that are looked at; an attempt with more cannot be measured. */
const handlesMax = 500_000
const mapLineBytes = 100
/** How long something may stay out of sight: a file on its way through a socket is so for a moment. */
const hiddenMsMax = 10_000
/** Looking at all open files takes longer with many of them: the next look comes no sooner than so many times that long,
 *  but at most `restMsMax` later. */
const restFactor = 20
const restMsMax = 5_000
/** What one pipe takes once the pipes of its user are over their common limit (pipe-user-pages-soft). */
const pipeBytes = 8_192
const blockBytes = 512
const mebibyte = 1024 ** 2
/** The mappings of files that have no name: memfd_create, shared memory of System V, and shared memory of parent and
 *  child. */
const namelessPattern = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+) +(?:\/memfd:|\/SYSV|\/dev\/zero \(deleted\))/gm

const kibibytes = (text: string, name: string): number =>
  Number.parseInt(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1) ?? '0',
    10,
  )

/** Pages of processes, in MiB. `shared` is the part of `all` that belongs to shared memory. */
type Pages = { readonly all: number; readonly shared: number }

const sumPages = async (pids: readonly number[], kibibytesOf: (pid: number) => Pages): Promise<Pages> => {
  const breathe = createBreather()
  let [all, shared] = [0, 0]
  for (const pid of pids) {
    await breathe()
    const found = kibibytesOf(pid)
    all += found.all
    shared += found.shared
  }
  return { all: all / 1024, shared: shared / 1024 }
}

const residentKibibytes = (pid: number): Pages => {
  const status = readProcessFile(pid, 'status')
  return { all: kibibytes(status, 'VmRSS') + kibibytes(status, 'VmPTE'), shared: kibibytes(status, 'RssShmem') }
}

/** Resolves to the pages of these processes and the tables of those. Shared pages count once for each process: fast, and
 *  never too little. */
export const residentPages = (pids: readonly number[]): Promise<Pages> => sumPages(pids, residentKibibytes)

/** Resolves to the same with shared pages divided among their processes: exact, but slow, because the kernel visits every
 *  page. */
export const proportionalPages = (pids: readonly number[]): Promise<Pages> =>
  sumPages(pids, (pid) => {
    const exact = readProcessFile(pid, 'smaps_rollup')
    if (!exact) return residentKibibytes(pid)
    const tables = kibibytes(readProcessFile(pid, 'status'), 'VmPTE')
    return { all: kibibytes(exact, 'Pss') + tables, shared: kibibytes(exact, 'Pss_Shmem') }
  })

/** What processes hold beside their pages, in MiB: `mapped` is shared memory of which pages may be counted too. */
type Held = { readonly mapped: number; readonly unmapped: number; readonly hidden: string | undefined }

type NamelessFile = { readonly bytes: number; mapped: boolean }

/** Returns what `read` does; undefined where the process has ended, or this program may not see it. */
const attempted = <Value>(read: () => Value): Value | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

const namelessFile = (path: string, mapped: boolean): NamelessFile | undefined =>
  attempted(() => ({ bytes: statSync(path).blocks * blockBytes, mapped }))

/** Returns the segments of a user in the text of /proc/sysvipc/shm, in bytes. */
export const segmentBytes = (text: string, uid: number): number => {
  const [header = '', ...rows] = text.split('\n').map((line) => line.trim().split(/\s+/))
  const column = (row: readonly string[], name: string) => Number(row[header.indexOf(name)])
  return rows
    .filter((row) => column(row, 'uid') === uid || column(row, 'cuid') === uid)
    .reduce((sum, row) => sum + column(row, 'rss') + column(row, 'swap'), 0)
}

/** Returns the bytes in the job's own /dev/shm, as this process sees it; 0 where it has that of the machine. */
const ownShmBytes = (pid: number): number =>
  attempted(() => {
    const path = `/proc/${pid}/root/dev/shm`
    if (statSync(path).dev === attempted(() => statSync('/dev/shm').dev)) return 0
    const { bsize, blocks, bfree } = statfsSync(path)
    return bsize * (blocks - bfree)
  }) ?? 0

/** Resolves to what these processes hold. `uid` is theirs where segments of System V outlive them. */
const lookAtHandles = async (pids: readonly number[], uid: number | undefined): Promise<Held> => {
  const files = new Map<number, NamelessFile>()
  const [pipes, sockets] = [new Set<string>(), new Set<string>()]
  const breathe = createBreather()
  let [handles, shm] = [0, 0]
  let hidden: string | undefined
  const lookAtOpen = (pid: number, name: string) => {
    const link = attempted(() => readlinkSync(`/proc/${pid}/fd/${name}`)) ?? ''
    if (link.startsWith('/memfd:')) {
      const path = `/proc/${pid}/fd/${name}`
      const inode = attempted(() => statSync(path).ino)
      const file = inode === undefined || files.has(inode) ? undefined : namelessFile(path, false)
      if (inode !== undefined && file) files.set(inode, file)
    } else if (link.startsWith('pipe:')) pipes.add(link)
    else if (link.startsWith('socket:') && !sockets.has(link)) {
      sockets.add(link)
      const waiting = /^scm_fds:\s+([1-9]\d*)/m.exec(readProcessFile(pid, `fdinfo/${name}`))
      if (waiting) hidden = 'Its memory cannot be measured: open files wait in a socket and are not received.'
    }
  }
  const openOf = (pid: number): string[] => {
    try {
      return readdirSync(`/proc/${pid}/fd`)
    } catch (error) {
      if (errorCode(error) === 'EACCES' && isRunning(pid))
        hidden = 'Its memory cannot be measured: a process hides its open files.'
      return []
    }
  }
  for (const pid of pids) {
    const names = openOf(pid)
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '')
    handles += names.length + maps.length / mapLineBytes
    if (handles > handlesMax) return { mapped: 0, unmapped: Number.POSITIVE_INFINITY, hidden }
    for (const name of names) {
      await breathe()
      lookAtOpen(pid, name)
    }
    for (const [, from = '', to = '', inode] of maps.matchAll(namelessPattern)) {
      await breathe()
      const [first, last] = [from, to].map((address) => address.replace(/^0+(?=.)/, ''))
      const known = files.get(Number(inode))
      // Only root may look behind a mapping. For others its pages count, of which the kernel keeps the sum.
      const file = known ?? namelessFile(`/proc/${pid}/map_files/${first}-${last}`, true)
      if (file) files.set(Number(inode), { ...file, mapped: true })
    }
    shm = Math.max(shm, ownShmBytes(pid))
  }
  const sum = (mapped: boolean) =>
    [...files.values()].reduce((bytes, file) => bytes + (file.mapped === mapped ? file.bytes : 0), 0)
  const segments =
    uid === undefined ? 0 : segmentBytes(attempted(() => readFileSync('/proc/sysvipc/shm', 'utf8')) ?? '', uid)
  return {
    mapped: (sum(true) + shm + segments) / mebibyte,
    unmapped: (sum(false) + pipes.size * pipeBytes) / mebibyte,
    hidden,
  }
}

/** Returns a function that measures the memory of an attempt. It resolves to why that is too much; undefined when it is
 *  not. */
export const createMemoryWatch = (
  memoryMib: number,
  uid: number | undefined,
): ((pids: readonly number[]) => Promise<string | undefined>) => {
  let held: Held = { mapped: 0, unmapped: 0, hidden: undefined }
  let lookAtMs = 0
  let hiddenSinceMs: number | undefined
  const look = async (pids: readonly number[]) => {
    const begun = performance.now()
    if (begun < lookAtMs) return
    held = await lookAtHandles(pids, uid)
    const now = performance.now()
    lookAtMs = now + Math.min(restFactor * (now - begun), restMsMax)
    hiddenSinceMs = held.hidden === undefined ? undefined : (hiddenSinceMs ?? now)
  }
  return async (pids) => {
    await look(pids)
    const { mapped, unmapped, hidden } = held
    if (unmapped === Number.POSITIVE_INFINITY)
      return `It has more than ${handlesMax} open files and mappings, too many to measure its memory.`
    if (hiddenSinceMs !== undefined && performance.now() - hiddenSinceMs > hiddenMsMax) return hidden
    if ((await residentPages(pids)).all + mapped + unmapped <= memoryMib) return undefined
    const { all, shared } = await proportionalPages(pids)
    const usedMib = Math.ceil(all - shared + Math.max(shared, mapped) + unmapped)
    return usedMib <= memoryMib ? undefined : `It used ${usedMib} MiB of ${memoryMib} MiB.`
  }
}
