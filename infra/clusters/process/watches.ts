/** What the kernel keeps for a process that waits for files: a watch for each file that an epoll or an inotify waits for.
 *  Linux limits them for one user, not for one job. */
import { randomInt } from 'node:crypto'
import { closedBy, createKernelReader, hasLeft, placeOf, type Unread } from './kernel-files.ts'

/** Watches of one attempt: a server with as many connections has them. */
export const watchesMax = 100_000
/** Of those that Linux gives one user, an attempt may have this part: the platform may be the same user. */
const watchesPart = 16
/** What Linux keeps for one watch: about 200 bytes on a machine of 64 bits. */
const watchBytes = 200
/** What Linux shows of one watch has less, numbers of any size included. */
const watchTextBytesMax = 250
const settingBytesMax = 64
const placesMax = 2 ** 32
/** Open files of one attempt. More would hide an epoll among them for longer than a job needs to take all watches. */
const openFilesOfAttemptMax = 100_000
const linksAtOnce = 512
/** How long the reads of one look may take: what is made meanwhile is not seen. */
const lookMsMax = 10_000
const mebibyte = 1024 ** 2
const kindPattern = /^anon_inode:\[?(eventpoll|inotify)\]?$/
const watchPattern = /^(tfd:|inotify wd:)/

/** What the watches of an attempt take, in MiB. `tooMany` is why they are too many, or can never be counted; `hidden` why
 *  not all could be counted this time, `ending` the processes that have not shown theirs but are about to close them. */
export type Watches = {
  readonly mib: number
  readonly tooMany?: string
  readonly hidden?: string
  readonly ending: readonly number[]
}

/** Returns these in another order each time: in an order that a job knows, it would put what it hides last. */
const shuffled = <Value>(values: readonly Value[]): Value[] =>
  values
    .map((value) => ({ value, place: randomInt(placesMax) }))
    .toSorted((one, other) => one.place - other.place)
    .map(({ value }) => value)

/** Resolves to how many watches one attempt may have on this machine. */
export const readWatchesMax = async (): Promise<number> => {
  const read = await createKernelReader().text('/proc/sys/fs/epoll/max_user_watches', settingBytesMax)
  const ofUser = 'value' in read ? Number.parseInt(read.value, 10) : Number.NaN
  return Number.isInteger(ofUser) ? Math.min(watchesMax, Math.floor(ofUser / watchesPart)) : watchesMax
}

/** Resolves to what the watches of these processes take. One that several processes share counts for each: Linux does not
 *  show which are the same. It ends as soon as there are more than `countMax`. */
export const lookAtWatches = async (
  pids: readonly number[],
  options: { readonly countMax: number; readonly owner?: string; readonly signal?: AbortSignal | undefined },
): Promise<Watches> => {
  const { countMax, owner, signal } = options
  const kernel = createKernelReader(owner)
  let [count, files] = [0, 0]
  const ending: number[] = []
  let tooMany: string | undefined
  let hidden: string | undefined
  const note = (unread: Unread | undefined) => {
    if (count > countMax || unread === 'long') tooMany ??= `It has more than ${countMax} watches of epoll and inotify.`
    else if (files > openFilesOfAttemptMax) tooMany ??= `It has more than ${openFilesOfAttemptMax} open files.`
    else if (unread === 'slow' || kernel.spentMs() > lookMsMax)
      tooMany ??= 'Its watches cannot be counted: Linux takes too long to show them.'
  }
  const isOver = () => signal?.aborted || tooMany !== undefined

  const lookAtProcess = async (pid: number, place: string): Promise<void> => {
    const names = await kernel.names(`${place}/fd`, openFilesOfAttemptMax)
    if ('unread' in names) {
      if (names.unread === 'long') files = Number.POSITIVE_INFINITY
      const by = names.unread === 'closed' ? closedBy(pid) : undefined
      if (by === 'hiding') hidden = 'Its watches cannot be counted: a process hides them.'
      if (by === 'ending') ending.push(pid)
      return note(names.unread === 'long' ? undefined : names.unread)
    }
    const open = shuffled(names.value)
    for (let from = 0; from < open.length && !isOver(); from += linksAtOnce) {
      const some = open.slice(from, from + linksAtOnce)
      const links = await kernel.links(some.map((name) => `${place}/fd/${name}`))
      files += some.length
      note(undefined)
      for (const [index, link] of links.entries()) {
        if (isOver()) return
        if (!kindPattern.test(link)) continue
        const bytesMax = (countMax - count + 1) * watchTextBytesMax
        const unread = await kernel.lines(`${place}/fdinfo/${some[index]}`, bytesMax, (line) => {
          if (watchPattern.test(line)) count += 1
        })
        note(unread)
      }
    }
  }

  for (const pid of shuffled(pids)) {
    if (isOver()) break
    const place = placeOf(pid)
    await lookAtProcess(pid, place)
    if (hasLeft(pid, place)) hidden = 'Its watches cannot be counted: a process ends its threads before they are read.'
  }
  return {
    mib: (count * watchBytes) / mebibyte,
    ...(tooMany !== undefined && { tooMany }),
    ...(hidden !== undefined && { hidden }),
    ending,
  }
}
