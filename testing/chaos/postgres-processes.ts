import { readProcessFile } from '../../infra/system/processes.ts'
import { readProcesses } from '../processes.ts'

export type ServerProcess = { readonly pid: number; readonly title: string }

/** Resolves to the processes that the postmaster has started, from /proc: its connections and its helpers. */
export const serverProcesses = async (postmaster: number): Promise<readonly ServerProcess[]> =>
  readProcesses()
    .filter(({ parent, over }) => parent === postmaster && !over)
    .map(({ pid }) => ({ pid, title: readProcessFile(pid, 'cmdline').replaceAll('\0', ' ').trim() }))

/** Returns the processes that serve a connection; only the busy ones, when there are any. */
export const connectionsAmong = (processes: readonly ServerProcess[]): readonly ServerProcess[] => {
  const connections = processes.filter(({ title }) => /127\.0\.0\.1\(\d+\)/.test(title))
  const busy = connections.filter(({ title }) => !/ idle$/.test(title))
  return busy.length > 0 ? busy : connections
}
