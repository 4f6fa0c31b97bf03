import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import type { Owner } from './folder.ts'

const niceness = '5'
const probeMsMax = 5000
/** nobody:nogroup, on every Linux. */
const nobody: Owner = { uid: 65_534, gid: 65_534 }

const works = (command: readonly string[]): Promise<boolean> => {
  const [file = '', ...args] = command
  return promisify(execFile)(file, args, { timeout: probeMsMax }).then(
    () => true,
    () => false,
  )
}

/** Parses a list of cores as Linux prints it: "0-2,5" → [0, 1, 2, 5]. */
export const parseCpuList = (text: string): number[] =>
  text
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })

/** Returns the cores that a job gets: `cores` of them (rounded up), beginning at index `start`, round robin. Undefined:
 *  all. */
export const pickCpus = (available: readonly number[], cores: number, start: number): number[] | undefined => {
  const count = Math.ceil(cores)
  if (count >= available.length) return undefined
  return Array.from({ length: count }, (_, index) => available[(start + index) % available.length] ?? 0)
}

const allowedCpus = (): number[] =>
  parseCpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '')

const setOwner = ({ uid, gid }: Owner): string[] => [
  ...['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'],
]

export type Limits = {
  /** The user that jobs run as; undefined: the user of this program. */
  readonly owner: Owner | undefined
  /** Why jobs run as root; undefined when they do not. */
  readonly ownerRefused: string | undefined
  /** Returns the words to put before a command. Each program was tried, so none of them keeps a job from running. */
  prefix(cpuCores: number, owner: Owner | undefined): readonly string[]
}

/** Finds out which limits this system lets the program set. `root` is the folder that jobs must be able to reach.
 *
 *  Memory is not limited here but watched (follow.ts): a limit on address space breaks V8 and CUDA, which reserve far
 *  more than they use. Control groups need root, version 2 and a delegated group; a machine that has them can run
 *  containers instead. */
export const probeLimits = async (root: string): Promise<Limits> => {
  const asRoot = process.getuid?.() === 0
  const reach = ['sh', '-c', 'cd "$1" && cd "$2"', 'sh', root, dirname(process.execPath)]
  const [canNice, canPin, canDrop] = await Promise.all([
    works(['nice', '-n', niceness, 'true']),
    works(['taskset', '--cpu-list', String(allowedCpus()[0] ?? 0), 'true']),
    asRoot && works([...setOwner(nobody), ...reach]),
  ])
  let nextCpu = 0
  return {
    owner: canDrop ? nobody : undefined,
    ownerRefused:
      asRoot && !canDrop
        ? `user ${nobody.uid} cannot reach ${root} or ${process.execPath}, or setpriv is missing`
        : undefined,
    prefix(cpuCores, owner) {
      const cpus = canPin ? pickCpus(allowedCpus(), cpuCores, nextCpu) : undefined
      nextCpu += cpus?.length ?? 0
      return [
        ...(canNice ? ['nice', '-n', niceness] : []),
        ...(cpus ? ['taskset', '--cpu-list', cpus.join(',')] : []),
        ...(owner ? setOwner(owner) : []),
      ]
    },
  }
}
