import { listJobs } from '../projections/jobs.ts'
import { type Page, pageRowsMax } from '../projections/page.ts'
import { listRentals } from '../projections/rentals.ts'
import { createJobRunner } from '../scheduler/jobs.ts'
import { runScheduler } from '../scheduler/run.ts'
import type { Platform } from './platform.ts'

/** Runs the jobs of this machine's cluster, and says that its rentals live. */
export const startScheduler = ({
  commands,
  cluster,
  bus,
  heartbeats,
  read,
  now,
  log: parent,
  shutdown,
}: Platform): void => {
  const log = parent.child({ part: 'scheduler' })
  const jobs = createJobRunner({ commands, cluster, now, log })
  const openJobs = async (rental?: string) => {
    const ids: string[] = []
    for (const status of ['queued', 'running'] as const)
      ids.push(
        ...(await readAllPages((after) => listJobs(read, { rental, status, first: pageRowsMax, after }))).map(({ id }) => id),
      )
    return ids
  }
  const activeRentals = async () => {
    const rows = await readAllPages((after) => listRentals(read, { status: 'active', first: pageRowsMax, after }))
    return rows.flatMap(({ id, endsAt }) => (endsAt === null ? [] : { id, endsAt }))
  }
  const running = runScheduler({
    bus,
    jobs,
    heartbeats,
    openWork: { openJobs, activeRentals },
    now,
    log,
    signal: shutdown.signal,
  })
  shutdown.add('scheduler', async () => {
    await running
    await jobs.close()
  })
}

/** Every page, one after the other. */
const readAllPages = async <Row>(page: (after: string | undefined) => Promise<Page<Row>>): Promise<Row[]> => {
  const rows: Row[] = []
  let after: string | undefined
  do {
    const { rows: some, hasNextPage, endCursor } = await page(after)
    rows.push(...some)
    after = hasNextPage ? endCursor : undefined
  } while (after)
  return rows
}
