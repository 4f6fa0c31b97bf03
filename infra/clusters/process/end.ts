import { sleep } from '../../async/sleep.ts'

const lookAgainMs = 25
const killMsMax = 10_000

const signal = (pid: number, name: 'SIGTERM' | 'SIGKILL') => {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Ends all processes that `find` returns: sends SIGTERM, and SIGKILL to those that are left after `graceMs` (0: at
 *  once), until none is found. Resolves to false when some are left after 10 s of SIGKILL, because the kernel does not
 *  end them. */
export const endProcesses = async (find: () => readonly number[], graceMs: number): Promise<boolean> => {
  const signalled = new Set<number>()
  const waitUntil = performance.now() + graceMs
  while (performance.now() < waitUntil) {
    const pids = find()
    if (pids.length === 0) return true
    for (const pid of pids) {
      if (!signalled.has(pid)) signal(pid, 'SIGTERM')
      signalled.add(pid)
    }
    await sleep(lookAgainMs)
  }
  // Children that start between a look and its signals are found by the next look.
  for (const giveUpAt = performance.now() + killMsMax; performance.now() < giveUpAt; ) {
    const pids = find()
    if (pids.length === 0) return true
    for (const pid of pids) signal(pid, 'SIGKILL')
    await sleep(lookAgainMs)
  }
  return find().length === 0
}
