import type { Database } from '../../infra/postgres.ts'
import { allPids, readProcess, readProcessFile } from '../../infra/system/processes.ts'

/** What the database and the two processes have done so far. */
export type Counts = {
  readonly atMs: number
  readonly commits: number
  /** Calls by the text of the statement. Undefined on a server that does not count them. */
  readonly calls: ReadonlyMap<string, number> | undefined
  readonly nodeMs: number
  /** Undefined when the server runs on another machine. */
  readonly postgresMs: number | undefined
}

/** Statements by what they are for, by their text. */
const kinds = {
  'range reads of the log': (text: string) => /from log\.events/i.test(text) && /e\.position >=/.test(text),
  'stream reads': (text: string) => /from log\.events/i.test(text) && /e\.stream_id = /.test(text),
  'checkpoint writes': (text: string) => /update read\.(checkpoints|builds)|insert into ops\.consumers/i.test(text),
} as const
export type Kind = keyof typeof kinds
export const kindNames = Object.keys(kinds) as Kind[]

/** Linux counts processor time in ticks of 10 ms. */
const tickMs = 10

/** Returns the processor time of a process, with `reaped` also that of its children that have ended. */
const cpuMsOf = (pid: number, reaped = false): number => {
  const text = readProcessFile(pid, 'stat')
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const [user = 0, system = 0, userReaped = 0, systemReaped = 0] = fields.slice(11, 15)
  return tickMs * (user + system + (reaped ? userReaped + systemReaped : 0))
}

const cpuMsOfServer = (postmaster: number): number =>
  allPids()
    .filter((pid) => readProcess(pid)?.parent === postmaster)
    .reduce((sum, pid) => sum + cpuMsOf(pid), cpuMsOf(postmaster, true))

/** Sessions report their commits when they have been idle for ten seconds. */
export const settleMs = 10_500

/** Creates the counter of one database and one process. */
export const createCounter = async (
  database: Pick<Database, 'query'>,
  platformPid: number,
): Promise<{ read(): Promise<Counts>; readonly hasCalls: boolean }> => {
  const { query } = database
  // Our own server has it in each database; of another one we may be allowed to create it.
  await query('bench.extension', 'create extension if not exists pg_stat_statements').catch(() => undefined)
  const hasCalls = await query('bench.calls', 'select from pg_stat_statements limit 1').then(
    () => true,
    () => false,
  )
  const [backend] = await query<{ pid: number }>('bench.backend', 'select pg_backend_pid() as pid')
  const postmaster = readProcess(backend?.pid ?? 0)?.parent
  const isOurs = postmaster !== undefined && /postgres/.test(readProcessFile(postmaster, 'cmdline'))
  const read = async (): Promise<Counts> => {
    const calls = hasCalls
      ? await query<{ query: string; calls: string }>(
          'bench.calls',
          `select query, calls::text as calls from pg_stat_statements
            where dbid = (select oid from pg_database where datname = current_database())`,
        )
      : undefined
    const [row] = await query<{ commits: string }>(
      'bench.commits',
      'select xact_commit::text as commits from pg_stat_database where datname = current_database()',
    )
    const byText = new Map<string, number>()
    for (const { query: text, calls: count } of calls ?? []) byText.set(text, (byText.get(text) ?? 0) + Number(count))
    return {
      atMs: performance.now(),
      commits: Number(row?.commits ?? 0),
      calls: calls && byText,
      nodeMs: cpuMsOf(platformPid),
      postgresMs: isOurs ? cpuMsOfServer(postmaster) : undefined,
    }
  }
  return { read, hasCalls }
}

/** What was done between two moments. */
export type Done = {
  readonly ms: number
  readonly commits: number
  readonly calls: ReadonlyMap<string, number> | undefined
  readonly cpuMs: number
}

export const doneBetween = (before: Counts, after: Counts): Done => ({
  ms: after.atMs - before.atMs,
  commits: after.commits - before.commits,
  calls:
    after.calls &&
    new Map([...after.calls].map(([text, count]) => [text, count - (before.calls?.get(text) ?? 0)] as const)),
  cpuMs: after.nodeMs - before.nodeMs + (after.postgresMs ?? 0) - (before.postgresMs ?? 0),
})

/** Returns how much of it one unit of work took, without what the platform does anyway in that time. */
export const perUnit = (done: Done, idle: Done, units: number): Omit<Done, 'ms'> => {
  const share = done.ms / idle.ms
  const calls =
    done.calls &&
    [...done.calls].map(([text, count]) => {
      const anyway = (idle.calls?.get(text) ?? 0) * share
      return [text, Math.max(0, count - anyway) / units] as const
    })
  return {
    commits: (done.commits - idle.commits * share) / units,
    calls: calls && new Map(calls),
    cpuMs: (done.cpuMs - idle.cpuMs * share) / units,
  }
}

/** Returns how many statements of a kind there are among calls. */
export const callsOf = (calls: ReadonlyMap<string, number>, kind: Kind): number =>
  [...calls].reduce((sum, [text, count]) => sum + (kinds[kind](text) ? count : 0), 0)
