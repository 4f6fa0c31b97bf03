import { eventually } from '../testing/eventually.ts'
import { createTestDatabase } from '../testing/servers/database.ts'
import { startTaskQueue, type TaskHandler, type TaskQueue } from './task-queue.ts'
import { createLog } from './telemetry.ts'

/** Makes a database with a task queue in it; `lines` holds what is logged. `clean` closes the queues that a test has
 *  opened and removes its tasks. */
export const createTaskQueueWorld = async () => {
  const home = await createTestDatabase()
  const lines: Record<string, unknown>[] = []
  const opened: TaskQueue[] = []
  const log = createLog({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) })
  const database = home.connect({ log })

  const open = async (handlers: Record<string, TaskHandler>, concurrency = 2): Promise<TaskQueue> => {
    const queue = await startTaskQueue({ url: home.url, database, log, handlers, concurrency, pollMs: 100 })
    opened.push(queue)
    return queue
  }
  /** Asks again where its own connection was just cut by the test. */
  const ask = <Row>(text: string) => database.query<Row>('test.ask', text, [], { retry: true })
  /** Resolves to the keys of the tasks that have not ended. */
  const left = async () =>
    (await ask<{ key: string | null }>('select key from jobs.jobs order by id')).map(({ key }) => key)
  const noneLeft = () => eventually('no task to be left', async () => (await left()).length === 0)
  const clean = async () => {
    await Promise.all(opened.splice(0).map((queue) => queue.close()))
    await ask('truncate jobs._private_jobs')
    lines.length = 0
  }
  const drop = async () => {
    await database.close()
    await home.drop()
  }

  await open({})
  await clean()
  return { url: home.url, log, lines, database, ask, open, left, noneLeft, clean, drop }
}
