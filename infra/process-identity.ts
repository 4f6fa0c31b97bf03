import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, sep } from 'node:path'

/** A process that cannot be mistaken for a later one with the same pid. `started` counts clock ticks since the boot. */
export type ProcessIdentity = { readonly pid: number; readonly started: string; readonly boot: string }

/** Who we are. */
export const ownIdentity = async (): Promise<ProcessIdentity> => ({
  pid: process.pid,
  started: (await readStat(process.pid))?.started ?? '',
  boot: await readBoot(),
})

/** True when exactly this process still runs; a zombie has ended. */
export const isAlive = async ({ pid, started, boot }: ProcessIdentity): Promise<boolean> => {
  if (boot !== (await readBoot())) return false
  const stat = await readStat(pid)
  return stat !== undefined && stat.started === started && stat.state !== 'Z'
}

/** The pids of the processes that run one of these programs with their working folder here or below. Others' may be hidden. */
export const processesIn = async (folder: string, programs: readonly string[]): Promise<number[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(
    pids.map(async (pid) => {
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
      if (cwd !== folder && !cwd?.startsWith(folder + sep)) return undefined
      const program = await readlink(`/proc/${pid}/exe`).catch(() => undefined)
      return program !== undefined && programs.includes(basename(program.replace(/ \(deleted\)$/, '')))
        ? pid
        : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}

const readBoot = async (): Promise<string> => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()

const readStat = async (pid: number): Promise<{ state: string; started: string } | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, started] = [fields?.[0], fields?.[19]]
  return state === undefined || started === undefined ? undefined : { state, started }
}
