import { allPids, type ProcessEntry, readProcess, readProcessFile } from '../infra/system/processes.ts'

/** Returns all processes of this machine that this user may see. */
export const readProcesses = (): readonly ProcessEntry[] => allPids().flatMap((pid) => readProcess(pid) ?? [])

/** `folder` is the attempt of a job that the process belongs to, as `<job>/<attempt>`. */
export type RunningProcess = { readonly pid: number; readonly command: string; readonly folder: string | undefined }

/** Resolves to all processes of this machine whose command line or environment names `text`, without zombies and this
 *  one. */
export const processesNaming = async (text: string): Promise<readonly RunningProcess[]> =>
  readProcesses()
    .filter(({ pid, over }) => !over && pid !== process.pid)
    .map(({ pid }) => ({ pid, command: readProcessFile(pid, 'cmdline'), environment: readProcessFile(pid, 'environ') }))
    .filter(({ command, environment }) => command.includes(text) || environment.includes(text))
    .map(({ pid, command, environment }) => {
      const folder = /(?:^|\0)NEURALMESH_FOLDER=[^\0]*\/([^/\0]+\/\d+)(?:\0|$)/.exec(environment)?.[1]
      return { pid, command: command.replaceAll('\0', ' ').trim(), folder }
    })
