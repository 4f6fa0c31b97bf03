import { readdir, readFile } from 'node:fs/promises'

/** `folder` is the attempt of a job that the process belongs to, as `<job>/<attempt>`. */
export type RunningProcess = { readonly pid: number; readonly command: string; readonly folder: string | undefined }

/** Resolves to all processes of this machine whose command line or environment names `text`, without zombies and this
 *  one. */
export const processesNaming = async (text: string): Promise<readonly RunningProcess[]> => {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(
    pids.map(async (pid): Promise<RunningProcess[]> => {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
      const [command, environment, stat] = await Promise.all([read('cmdline'), read('environ'), read('stat')])
      const zombie = stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
      const named = command.includes(text) || environment.includes(text)
      if (!named || zombie || pid === process.pid) return []
      const folder = /(?:^|\0)NEURALMESH_FOLDER=[^\0]*\/([^/\0]+\/\d+)(?:\0|$)/.exec(environment)?.[1]
      return [{ pid, command: command.replaceAll('\0', ' ').trim(), folder }]
    }),
  )
  return found.flat()
}
