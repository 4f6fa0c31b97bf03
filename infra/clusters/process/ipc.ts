/** What outlives the processes of a user where they share the machine's: segments, message queues and semaphores of
 *  System V. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { readIpcTable } from './ipc-table.ts'
import { createKernelReader } from './kernel-files.ts'
import type { Launch } from './reading.ts'
import { readProcessTable } from './table.ts'
import type { UidRange } from './uids.ts'

const tableBytesMax = 16 * 1024 ** 2
const idsAtOnceMax = 1_000
/** Another program may remove or make some meanwhile. */
const triesMax = 3

const tables = [
  ['shm', 'shmid', '-m'],
  ['msg', 'msqid', '-q'],
  ['sem', 'semid', '-s'],
] as const

type Row = { readonly option: string; readonly id: string; readonly owners: readonly number[] }

/** Resolves to what is there, each with its owner and who made it. Throws when Linux does not show it. */
const readRows = async (): Promise<Row[]> => {
  const kernel = createKernelReader()
  const found: Row[] = []
  for (const [name, idColumn, option] of tables) {
    const read = await kernel.text(`/proc/sysvipc/${name}`, tableBytesMax)
    if ('unread' in read && read.unread === 'ended') continue
    if ('unread' in read) throw new Error(`/proc/sysvipc/${name} cannot be read: ${read.unread}`)
    for (const row of readIpcTable(read.value))
      found.push({ option, id: row(idColumn), owners: [Number(row('uid')), Number(row('cuid'))] })
  }
  return found
}

/** Removes what users have left. `pick` gets all owners, after what they own was read, and resolves to those whose own is
 *  removed. Throws when something is left. */
const removeLeft = async (
  pick: (owners: ReadonlySet<number>) => ReadonlySet<number> | Promise<ReadonlySet<number>>,
): Promise<void> => {
  let left: Row[] = []
  for (let tries = 0; tries < triesMax; tries++) {
    const rows = await readRows()
    const picked = await pick(new Set(rows.flatMap(({ owners }) => owners)))
    left = rows.filter(({ owners }) => owners.some((owner) => picked.has(owner)))
    if (left.length === 0) return
    for (let from = 0; from < left.length; from += idsAtOnceMax) {
      const words = left.slice(from, from + idsAtOnceMax).flatMap(({ option, id }) => [option, id])
      // It fails for one that is gone meanwhile, and removes the others.
      await promisify(execFile)('ipcrm', words).catch(() => undefined)
    }
  }
  throw new Error(`${left.length} segments, queues or semaphores of ended jobs cannot be removed`)
}

/** Removes what the processes of an attempt have left, none of which runs: its wrapper does so too, unless it was killed.
 *  Throws when something is left. */
export const removeIpc = async ({ kind, uid }: Pick<Launch, 'kind' | 'uid'>): Promise<void> => {
  if (kind === 'uid' && uid !== undefined) await removeLeft(() => new Set([uid]))
}

/** Removes what users of the range have left of whom no process runs. Throws when something is left. */
export const removeIpcOfEnded = ({ first, count }: UidRange): Promise<void> =>
  removeLeft(async (owners) => {
    const ofRange = [...owners].filter((owner) => owner >= first && owner < first + count)
    if (ofRange.length === 0) return new Set()
    // Read after the tables: who has made something and runs is found here.
    const running = new Set((await readProcessTable()).filter(({ over }) => !over).map((entry) => entry.uid()))
    return new Set(ofRange.filter((owner) => !running.has(owner)))
  })
