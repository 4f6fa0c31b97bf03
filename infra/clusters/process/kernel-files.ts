/** Reads what a job decides the size and the cost of: files of /proc that describe its memory, and its open files. Linux
 *  visits the pages and mappings of the process for it, which may take seconds. So each read runs in another thread, with
 *  a limit and a deadline. Of the threads of this program (4) those that may take long use three. */
import { existsSync, readdirSync } from 'node:fs'
import { open, opendir, readlink, stat, statfs } from 'node:fs/promises'
import { createSemaphore } from '../../async/semaphore.ts'
import { errorCode } from '../../system/errors.ts'
import { isRunning, readProcessFile } from '../../system/processes.ts'

/** The deadline of one read, in steps: after a stop of this program, what was read meanwhile still counts. */
const deadlineSteps = 5
const deadlineStepMs = 1_000
const pieceBytes = 65_536
/** How many names of a folder are in memory at once. */
const namesMax = 256

/** Why nothing was read: the process has ended or the file is closed meanwhile; this program may not or cannot read it; it
 *  took longer than the deadline; it is longer than the limit. */
export type Unread = 'ended' | 'closed' | 'slow' | 'long'
export type Read<Value> = { readonly value: Value } | { readonly unread: Unread }

type Limited = ReturnType<typeof createSemaphore>
/** For these Linux visits each page of a process. */
const walks: Limited = createSemaphore(1)
const others: Limited = createSemaphore(2)

export type KernelReader = ReturnType<typeof createKernelReader>

/** Returns where /proc shows the memory and files of a process. One whose first thread has ended shows them at another. */
export const placeOf = (pid: number): string => {
  const own = `/proc/${pid}`
  if (!/^State:\s+[ZX]/m.test(readProcessFile(pid, 'status'))) return own
  const tasks = attemptedNames(`${own}/task`)
  const alive = tasks.find((task) => /^State:\s+[^ZX]/m.test(readProcessFile(pid, `task/${task}/status`)))
  return alive === undefined ? own : `${own}/task/${alive}`
}

/** Returns why the open files of a process that were not shown may be more than those of one that has ended: `hiding` where
 *  it runs and hides them, `ending` where it has given back its memory and closes them next. */
export const closedBy = (pid: number): 'hiding' | 'ending' | undefined =>
  isRunning(pid) ? (hasMemory(pid) ? 'hiding' : 'ending') : undefined

/** Returns whether a process has its memory still. One that is ending gives it back first, which may take seconds: until
 *  it is over, it runs nothing any more, and Linux shows its open files to root alone. */
const hasMemory = (pid: number): boolean =>
  ['', ...attemptedNames(`/proc/${pid}/task`).map((thread) => `task/${thread}/`)].some((place) =>
    /^VmSize:/m.test(readProcessFile(pid, `${place}status`)),
  )

/** Returns whether a process runs on without the thread at which it was read: a job may end each before it is read. */
export const hasLeft = (pid: number, place: string): boolean =>
  place !== `/proc/${pid}` && !existsSync(place) && isRunning(pid)

const attemptedNames = (path: string): readonly string[] => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

const isEnded = (error: unknown): boolean => ['ENOENT', 'ESRCH'].includes(String(errorCode(error)))

const readOf = <Value>(value: Value): Read<Value> => ({ value })
const unreadOf = (error: unknown): Read<never> => ({ unread: isEnded(error) ? 'ended' : 'closed' })

/** Makes the reader of one look: it knows how long its reads took, without their wait for a turn.
 *  @param owner whose look it is, such as the folder of an attempt: owners take turns. */
export const createKernelReader = (owner = '') => {
  let spentMs = 0

  /** Resolves to what `work` reads, or to `slow` at the deadline. The turn is given back when the read has really ended. */
  const inTime = <Value>(limited: Limited, work: () => Promise<Value>): Promise<Read<Value>> =>
    new Promise((resolve) => {
      void limited(async () => {
        const begun = performance.now()
        let steps = 0
        const timer = setInterval(() => {
          steps += 1
          if (steps >= deadlineSteps) resolve({ unread: 'slow' })
        }, deadlineStepMs).unref()
        try {
          resolve({ value: await work() })
        } catch (error) {
          resolve(unreadOf(error))
        } finally {
          clearInterval(timer)
          spentMs += performance.now() - begun
        }
      }, owner)
    })

  const readPieces = async (
    limited: Limited,
    path: string,
    bytesMax: number,
    push: (piece: string) => void,
  ): Promise<Unread | undefined> => {
    const opened = await inTime(limited, () => open(path))
    if ('unread' in opened) return opened.unread
    const file = opened.value
    const buffer = Buffer.alloc(pieceBytes)
    try {
      for (let bytes = 0; bytes <= bytesMax; ) {
        const read = await inTime(limited, () => file.read(buffer, 0, pieceBytes))
        if ('unread' in read) return read.unread
        const { bytesRead } = read.value
        if (bytesRead === 0) return undefined
        bytes += bytesRead
        push(buffer.toString('latin1', 0, bytesRead))
      }
      return 'long'
    } finally {
      // It waits for a read that is not over.
      void file.close().catch(() => undefined)
    }
  }

  const readText = async (limited: Limited, path: string, bytesMax: number): Promise<Read<string>> => {
    let text = ''
    const unread = await readPieces(limited, path, bytesMax, (piece) => {
      text += piece
    })
    return unread === undefined ? { value: text } : { unread }
  }

  return {
    /** Returns how long the reads took, in milliseconds. */
    spentMs: () => spentMs,

    /** Resolves to the text of a file for which Linux visits all pages of a process. */
    walked: (path: string, bytesMax: number): Promise<Read<string>> => readText(walks, path, bytesMax),

    /** Resolves to the text of a file of /proc, each byte a character. */
    text: (path: string, bytesMax: number): Promise<Read<string>> => readText(others, path, bytesMax),

    /** Resolves to how a file of /proc begins, each byte a character: so many bytes at most, in one read. */
    async head(path: string, bytesMax: number): Promise<Read<string>> {
      let text = ''
      const unread = await readPieces(others, path, 0, (piece) => {
        text += piece.slice(0, bytesMax)
      })
      return unread === undefined || unread === 'long' ? { value: text } : { unread }
    },

    /** Calls `line` with each line of a file of /proc, each byte a character. Resolves to why not all was read. */
    lines: (path: string, bytesMax: number, line: (text: string) => void): Promise<Unread | undefined> => {
      let rest = ''
      return readPieces(others, path, bytesMax, (piece) => {
        const lines = (rest + piece).split('\n')
        rest = lines.pop() ?? ''
        for (const text of lines) line(text)
      })
    },

    /** Resolves to the names in a folder of /proc, `countMax` at most. */
    async names(path: string, countMax: number): Promise<Read<readonly string[]>> {
      const names: string[] = []
      const listed = await inTime(others, async () => {
        for await (const { name } of await opendir(path, { bufferSize: namesMax }))
          if (names.push(name) > countMax) break
      })
      if ('unread' in listed) return listed
      return names.length > countMax ? { unread: 'long' } : { value: names }
    },

    /** Resolves to what a link of /proc leads to, also where that has no name. */
    file: (path: string) => inTime(others, () => stat(path, { bigint: true })),

    /** Resolves to the same of several files, in their order. Few turns for many files: a busy machine makes each long. */
    async files(paths: readonly string[]) {
      const stats = () => Promise.all(paths.map((path) => stat(path, { bigint: true }).then(readOf, unreadOf)))
      const read = await inTime(others, stats)
      return 'value' in read ? read.value : paths.map(() => read)
    },

    /** Resolves to the paths that several links of /proc show, in their order; a path is empty where none is shown. */
    async links(paths: readonly string[]): Promise<readonly string[]> {
      const read = await inTime(others, () => Promise.all(paths.map((path) => readlink(path).catch(() => ''))))
      return 'value' in read ? read.value : []
    },

    /** Resolves to the file system on which that lies. */
    fileSystem: (path: string) => inTime(others, () => statfs(path)),

    /** Resolves to the path that a link of /proc shows. */
    link: (path: string) => inTime(others, () => readlink(path)),
  }
}
