import { readdir, readFile } from 'node:fs/promises'

export type ServerProcess = { readonly pid: number; readonly title: string }

/** Resolves to the processes that the postmaster has started, from /proc: its connections and its helpers. */
export const serverProcesses = async (postmaster: number): Promise<readonly ServerProcess[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid): Promise<ServerProcess[]> => {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
      const stat = await read('stat')
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (Number(parent) !== postmaster || state === 'Z') return []
      return [{ pid: Number(pid), title: (await read('cmdline')).replaceAll('\0', ' ').trim() }]
    }),
  )
  return found.flat()
}

/** Returns the processes that serve a connection; only the busy ones, when there are any. */
export const connectionsAmong = (processes: readonly ServerProcess[]): readonly ServerProcess[] => {
  const connections = processes.filter(({ title }) => /127\.0\.0\.1\(\d+\)/.test(title))
  const busy = connections.filter(({ title }) => !/ idle$/.test(title))
  return busy.length > 0 ? busy : connections
}
