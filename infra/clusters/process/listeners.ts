/** Finds the jobs that listen where the platform does. They share its network: a job that has outlived a platform could
 *  take its port, keep the next one from starting, and read what clients send. */
import type { JobHandle, JobOutcome } from '../port.ts'
import type { Attempts } from './attempts.ts'
import type { ClusterLog } from './follow.ts'
import { createKernelReader } from './kernel-files.ts'

/** What is read of the connections of the machine: a line has 150 bytes. */
const connectionsBytesMax = 64 * 1024 ** 2
/** The open files of a process that are looked at; one with more hides them. */
const filesMax = 500_000
const linksAtOnce = 256
/** The state of a socket that listens, and where a line of /proc/net/tcp has its fields. */
const listening = '0A'
const [localField, stateField, uidField, inodeField] = [1, 3, 7, 9]

export type Listener = { readonly port: number; readonly uid: number; readonly inode: string }

/** Parses a line of /proc/net/tcp or tcp6. Returns undefined for one of no socket that listens. */
export const parseListener = (line: string): Listener | undefined => {
  const fields = line.trim().split(/\s+/)
  const [local = '', inode = ''] = [fields[localField], fields[inodeField]]
  const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)
  if (fields[stateField] !== listening || !Number.isInteger(port) || !/^\d+$/.test(inode)) return undefined
  return { port, uid: Number(fields[uidField]), inode }
}

export type ListenersOptions = {
  readonly ports: readonly number[]
  readonly attempts: Attempts
  readonly log: ClusterLog
  /** Calls this before the first signal where the verdict could not be written. */
  readonly onUnwritten: (handle: JobHandle, verdict: JobOutcome) => void
}

/** Ends the jobs that listen on one of these ports, at whatever address, with JOB_PORT_TAKEN. Resolves to how many. */
export const endListeners = async ({ ports, attempts, log, onUnwritten }: ListenersOptions): Promise<number> => {
  const kernel = createKernelReader()
  let listeners: Listener[] = []
  for (const path of ['/proc/net/tcp', '/proc/net/tcp6'])
    await kernel.lines(path, connectionsBytesMax, (line) => {
      const listener = parseListener(line)
      if (listener && ports.includes(listener.port)) listeners.push(listener)
    })
  const own = await socketsOf(kernel, process.pid)
  listeners = listeners.filter(({ inode }) => !own.sockets.has(inode))
  if (listeners.length === 0) return 0
  const running = (await attempts.list()).filter((one) => one.running)
  let ends = 0
  for (const { folder, jobId, attempt } of running) {
    const { uid, pids } = await attempts.members(folder)
    const held = new Set<string>()
    let hides = false
    for (const pid of pids) {
      const { sockets, isHidden } = await socketsOf(kernel, pid)
      for (const inode of sockets) held.add(inode)
      hides ||= isHidden
    }
    // A job that hides its open files has no other user where it has no own one.
    const found = listeners.find(
      (one) => held.has(one.inode) || one.uid === uid || (hides && uid === undefined && one.uid === process.getuid?.()),
    )
    if (!found) continue
    const message = `It listened on port ${found.port}, which is one of the platform.`
    const verdict = { ended: 'failed', code: 'JOB_PORT_TAKEN', message } as const
    log.warn({ jobId, attempt, port: found.port }, 'a job listens on a port of the platform: it is ended')
    await attempts.end(folder, verdict, () => onUnwritten({ jobId, attempt }, verdict))
    ends += 1
  }
  return ends
}

/** Resolves to the sockets that a process has open, by their inodes, and whether some of its open files cannot be seen. */
const socketsOf = async (kernel: ReturnType<typeof createKernelReader>, pid: number) => {
  const sockets = new Set<string>()
  const names = await kernel.names(`/proc/${pid}/fd`, filesMax)
  if ('unread' in names) return { sockets, isHidden: names.unread !== 'ended' }
  for (let from = 0; from < names.value.length; from += linksAtOnce) {
    const paths = names.value.slice(from, from + linksAtOnce).map((name) => `/proc/${pid}/fd/${name}`)
    for (const link of await kernel.links(paths)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1]
      if (inode !== undefined) sockets.add(inode)
    }
  }
  return { sockets, isHidden: false }
}
