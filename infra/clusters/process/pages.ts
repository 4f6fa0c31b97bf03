/** The pages of processes: what they have mapped, and the tables for it. */
import { readFileSync } from 'node:fs'
import { createBreather } from '../../async/breather.ts'
import { errorCode } from '../../system/errors.ts'
import { isRunning } from '../../system/processes.ts'
import { createKernelReader, placeOf, type Unread } from './kernel-files.ts'

const rollupBytesMax = 65_536

/** Pages of processes, in MiB. `shared` is the part of `all` that belongs to shared memory. */
export type Pages = { readonly all: number; readonly shared: number }

const kibibytes = (text: string, name: string): number =>
  Number.parseInt(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1) ?? '0',
    10,
  )

const sum = (pages: readonly Pages[]): Pages => ({
  all: pages.reduce((kib, { all }) => kib + all, 0) / 1024,
  shared: pages.reduce((kib, { shared }) => kib + shared, 0) / 1024,
})

const statusOf = (pid: number): string => {
  const place = placeOf(pid)
  try {
    return readFileSync(`${place}/status`, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return ''
    throw error
  }
}

const residentKibibytes = (pid: number): Pages => {
  const status = statusOf(pid)
  if (status === '' && isRunning(pid)) throw new Error(`no thread of process ${pid} can be read: each has ended before`)
  return { all: kibibytes(status, 'VmRSS') + kibibytes(status, 'VmPTE'), shared: kibibytes(status, 'RssShmem') }
}

/** Resolves to the pages of these processes and the tables of those. Shared pages count once for each process: fast, and
 *  never too little. Throws where one that runs cannot be read. */
export const residentPages = async (pids: readonly number[]): Promise<Pages> => {
  const breathe = createBreather()
  const found: Pages[] = []
  for (const pid of pids) {
    await breathe()
    found.push(residentKibibytes(pid))
  }
  return sum(found)
}

/** Resolves to the same with shared pages divided among their processes: exact, but slow, because the kernel visits every
 *  page. Where a process shows only the sum, that counts. Resolves to `slow` or `long` where one cannot be read. */
export const proportionalPages = async (pids: readonly number[], owner?: string): Promise<Pages | Unread> => {
  const kernel = createKernelReader(owner)
  const found: Pages[] = []
  for (const pid of pids) {
    const exact = await kernel.walked(`/proc/${pid}/smaps_rollup`, rollupBytesMax)
    if ('value' in exact && exact.value !== '') {
      const tables = kibibytes(statusOf(pid), 'VmPTE')
      found.push({ all: kibibytes(exact.value, 'Pss') + tables, shared: kibibytes(exact.value, 'Pss_Shmem') })
    } else if ('value' in exact || exact.unread === 'closed' || exact.unread === 'ended')
      found.push(residentKibibytes(pid))
    else return exact.unread
  }
  return sum(found)
}
