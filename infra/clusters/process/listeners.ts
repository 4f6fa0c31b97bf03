/** Ends the jobs that hold a port of the platform. They share its network: a job that has outlived a platform could take
 *  its port, keep the next one from starting, and read what clients send. */
import { lookup } from 'node:dns/promises'
import { isFailure } from '../../../domain/errors.ts'
import { sleep } from '../../async/sleep.ts'
import { allPids } from '../../system/processes.ts'
import type { JobHandle, JobOutcome } from '../port.ts'
import type { Attempts, ListedAttempt } from './attempts.ts'
import type { ClusterLog } from './follow.ts'
import { createKernelReader } from './kernel-files.ts'
import { hidersOf, type OpenSockets, openSocketsOf, readSockets, type Socket } from './sockets.ts'
import { findUidRange } from './uids.ts'

/** How soon Linux closes what an ended job had open. */
const closeMsMax = 500
/** How long Linux keeps a connection that was closed, and with it its port. */
const waitMsMax = 65_000
const lookAgainMs = 25
/** How long a start takes at most to free its addresses. */
const takeMsMax = 180_000

export type ListenersOptions = {
  readonly attempts: Attempts
  readonly log: ClusterLog
  /** Calls this before the first signal where the verdict could not be written. */
  readonly onUnwritten: (handle: JobHandle, verdict: JobOutcome) => void
}

/** An address of the platform. `take` listens there, and throws PORT_TAKEN where another program has it. */
export type AddressToTake = { readonly host: string; readonly port: number; readonly take: () => Promise<void> }

type Job = ListedAttempt & {
  readonly uid: number | undefined
  readonly pids: readonly number[]
  readonly open: OpenSockets
}

/** Resolves to the jobs that run.
 *  @param known those that are taken as they were found before: to look at one may take seconds. */
const runningJobs = async (attempts: Attempts, known: readonly Job[] = []): Promise<Job[]> => {
  const jobs: Job[] = []
  for (const one of (await attempts.list()).filter(({ running }) => running)) {
    const before = known.find(({ folder }) => folder === one.folder)
    const { uid, pids } = before ?? (await attempts.members(one.folder))
    jobs.push(before ?? { ...one, uid, pids, open: await openSocketsOf(pids, one.folder) })
  }
  return jobs
}

/** Resolves to jobs in the order in which they are suspected: first those that may hide a socket, and the newest first. */
const inOrderOfSuspicion = async (jobs: readonly Job[]): Promise<Job[]> => {
  const hiders = await hidersOf(jobs)
  const rank = (job: Job) => (hiders.has(job) ? 0 : 1)
  const begin = ({ startedMs = Number.POSITIVE_INFINITY }: Job) => startedMs
  return [...jobs].sort((one, other) => rank(one) - rank(other) || (begin(one) < begin(other) ? 1 : -1))
}

/** Resolves to whether nothing of it runs any more. */
const endJob = async ({ attempts, log, onUnwritten }: ListenersOptions, job: Job, port: number, isFound: boolean) => {
  const { folder, jobId, attempt } = job
  const message = isFound
    ? `It listened on port ${port}, which is one of the platform.`
    : `A job held port ${port}, which is one of the platform, and hid it. This one may have been it.`
  const verdict = { ended: 'failed', code: 'JOB_PORT_TAKEN', message } as const
  const line = isFound
    ? 'a job listens on a port of the platform: it is ended'
    : 'a job that cannot be found out holds a port of the platform: one that may be it is ended'
  log.warn({ jobId, attempt, port }, line)
  await attempts.end(folder, verdict, () => onUnwritten({ jobId, attempt }, verdict))
  return (await attempts.members(folder)).pids.length === 0
}

/** Resolves to whether `isOver` was true within so many milliseconds. */
const within = async (ms: number, isOver: () => Promise<boolean>): Promise<boolean> => {
  for (const giveUpAt = performance.now() + ms; !(await isOver()); await sleep(lookAgainMs))
    if (performance.now() >= giveUpAt) return false
  return true
}

/** Resolves to which of these sockets a program has open that is no job: their inodes. A job may hand a socket on from one
 *  short-lived process to the next: one that was not seen before is looked for among the jobs, and must have it still. */
const heldByOthers = async (
  attempts: Attempts,
  sockets: readonly Socket[],
  jobs: readonly Job[],
): Promise<ReadonlySet<string>> => {
  const ofJobs = new Set(jobs.flatMap(({ pids }) => pids))
  const isOfJob = async (pid: number) => {
    for (const { folder } of jobs) if ((await attempts.members(folder)).pids.includes(pid)) return true
    return false
  }
  const heldBy = async (pid: number) => {
    const { places } = await openSocketsOf([pid])
    return sockets.filter(({ inode }) => places.has(inode))
  }
  const held = new Set<string>()
  for (const pid of allPids())
    if (!ofJobs.has(pid) && (await heldBy(pid)).length > 0 && !(await isOfJob(pid)))
      for (const { inode } of await heldBy(pid)) held.add(inode)
  return held
}

/** Ends the jobs that listen on one of these ports, at whatever address, with JOB_PORT_TAKEN. Where no program shows that
 *  it has a socket which a job may have made, those jobs are ended one after the other that may hold it, until it is
 *  closed. Resolves to how many, and to the sockets that are no job's, by their inodes.
 *  @param others sockets that are not looked at: those of the look before. */
export const endListeners = async (
  options: ListenersOptions & { readonly ports: readonly number[]; readonly others?: ReadonlySet<string> },
): Promise<{ readonly ends: number; readonly others: ReadonlySet<string> }> => {
  const { ports, attempts, others: known = new Set() } = options
  const listening = async () => (await readSockets(createKernelReader(), ports)).filter(({ listens }) => listens)
  const found = await listening()
  const own = (await openSocketsOf([process.pid])).places
  const others = new Set(found.map(({ inode }) => inode).filter((inode) => known.has(inode)))
  let left = found.filter(({ inode }) => !own.has(inode) && !known.has(inode))
  if (left.length === 0) return { ends: 0, others }
  const isClosed = async () => {
    const open = new Set((await listening()).map(({ inode }) => inode))
    left = left.filter(({ inode }) => open.has(inode))
    return left.length === 0
  }
  const areClosed = () => within(closeMsMax, isClosed)
  const jobs = await runningJobs(attempts)
  const ended = new Set<Job>()
  const end = async (job: Job, port: number, isFound: boolean) => {
    if (await endJob(options, job, port, isFound)) ended.add(job)
  }
  for (const job of jobs) {
    const its = left.find(({ inode, uid }) => job.open.places.has(inode) || uid === job.uid)
    if (its) await end(job, its.port, true)
  }
  if (ended.size > 0 && (await areClosed())) return { ends: ended.size, others }
  const range = process.getuid?.() === 0 ? await findUidRange() : undefined
  const isOwnUser = jobs.some(({ uid }) => uid === undefined)
  const byOthers = await heldByOthers(attempts, left, jobs)
  const mayBeOfJob = ({ uid, inode }: Socket) =>
    !byOthers.has(inode) &&
    ((isOwnUser && uid === process.getuid?.()) || (range && uid >= range.first && uid < range.first + range.count))
  const notOfJobs = left.filter((one) => !mayBeOfJob(one))
  left = left.filter(mayBeOfJob)
  // Another program may have closed its own meanwhile: then none shows it, and no job is to blame.
  await isClosed()
  for (const job of left.length === 0 ? [] : await inOrderOfSuspicion(jobs.filter((one) => !ended.has(one)))) {
    await end(job, left[0]?.port ?? 0, false)
    if (await areClosed()) break
  }
  // One that was handed to a job which began meanwhile is looked for again: that job was no job yet.
  const hasNew = (await attempts.list()).some(
    ({ running, folder }) => running && !jobs.some((one) => one.folder === folder),
  )
  if (!hasNew) for (const { inode } of [...notOfJobs, ...left]) others.add(inode)
  return { ends: ended.size, others }
}

/** Takes these addresses. Where one is taken, ends jobs with JOB_PORT_TAKEN until it is free, or until it shows that another
 *  program has it: also jobs that only bind it, for Linux shows no socket that does, and lets no one else have the address.
 *  An address that stays taken is no error here, nor one for which this takes too long. */
export const takeAddresses = async (options: ListenersOptions & { readonly addresses: readonly AddressToTake[] }) => {
  const giveUpAt = performance.now() + takeMsMax
  let known: readonly Job[] = []
  for (const { host, port, take } of options.addresses) {
    const isTaken = () =>
      take().then(
        () => false,
        (error: unknown) => isFailure(error, 'PORT_TAKEN'),
      )
    const tried = new Set<string>()
    let hasWaited = false
    while ((await isTaken()) && performance.now() < giveUpAt) {
      if ((await endListeners({ ...options, ports: [port] })).ends > 0) continue
      const sockets = await readSockets(createKernelReader(), [port])
      const address = await lookup(host).then(
        (one) => canonical(one.address),
        () => any,
      )
      known = await runningJobs(options.attempts, known)
      const inTheWay = sockets.filter((one) => meet(addressOf(one), address))
      const byOthers = await heldByOthers(options.attempts, inTheWay, known)
      if (inTheWay.some(({ listens, inode }) => listens || byOthers.has(inode))) break
      const jobs = known.filter(({ folder }) => !tried.has(folder))
      const connected = jobs.filter(({ open }) => sockets.some(({ inode }) => open.places.has(inode)))
      if (connected.length === 0 && !hasWaited && sockets.some(({ inode }) => inode === '0')) {
        hasWaited = true
        if (await within(waitMsMax, async () => !(await isTaken()))) break
      }
      const [job] = connected.length > 0 ? connected : await inOrderOfSuspicion(jobs)
      if (!job) break
      tried.add(job.folder)
      await endJob(options, job, port, connected.length > 0)
      await within(closeMsMax, async () => !(await isTaken()))
    }
  }
}

const any = ''
const meet = (one: string, other: string): boolean => one === any || other === any || one === other

/** Returns an address as one text, and the empty one for all addresses of the machine. */
const canonical = (address: string): string => {
  if (address === '0.0.0.0') return any
  if (!address.includes(':')) return address
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  return text === '::' ? any : text
}

/** Returns the local address of a socket. Linux writes each four bytes as the machine has them in memory: the last first. */
const addressOf = ({ address }: Socket): string => {
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex').reverse()])
  const digits = Buffer.from(bytes).toString('hex')
  if (bytes.length === 4) return canonical(bytes.join('.'))
  if (digits.startsWith('00000000000000000000ffff')) return canonical(bytes.slice(-4).join('.'))
  return canonical((digits.match(/.{4}/g) ?? []).join(':'))
}
