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

/** Asks all processes that `find` gives to end, kills those that are left after `graceMs` (0: at once), and looks again
 *  until none is found. False when some still stand after 10 s of killing: the kernel does not let go of them. */
export const endProcesses = async (find: () => readonly number[], graceMs: number): Promise<boolean> => {
  const asked = new Set<number>()
  const waitUntil = performance.now() + graceMs
  while (performance.now() < waitUntil) {
    const pids = find()
    if (pids.length === 0) return true
    for (const pid of pids) {
      if (!asked.has(pid)) signal(pid, 'SIGTERM')
      asked.add(pid)
    }
    await sleep(lookAgainMs)
  }
  // Children born between looking and killing are found the next time round.
  for (const giveUpAt = performance.now() + killMsMax; performance.now() < giveUpAt; ) {
    const pids = find()
    if (pids.length === 0) return true
    for (const pid of pids) signal(pid, 'SIGKILL')
    await sleep(lookAgainMs)
  }
  return find().length === 0
}
