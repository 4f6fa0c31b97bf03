import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { promisify } from 'node:util'
import type { JobSpec } from '../port.ts'

const niceness = '5'
/** Where the machine has no memory left, Linux ends jobs before all else. */
const firstToGo = ['choom', '-n', '1000', '--']
const probeMsMax = 5000
/** Threads count too: libraries for numbers start one for each core, in each process. */
export const processesMax = 1024
export const openFilesMax = 65_536
/** Signals that wait and timers; the platform may be the same user. */
const pendingSignalsMax = 16_384
/** What one attempt may leave on the disk, in its work folder and /tmp. */
export const diskBytesMax = 64 * 1024 ** 3

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

/** Returns `wanted`, or less where the hard limit of this process in the text of /proc/self/limits is lower. */
export const withinHardLimit = (limits: string, name: string, wanted: number): number => {
  const hard = limits
    .split('\n')
    .find((line) => line.startsWith(name))
    ?.slice(name.length)
    .trim()
    .split(/ +/)[1]
  const value = Number(hard)
  return hard !== undefined && Number.isFinite(value) ? Math.min(value, wanted) : wanted
}

/** Returns the spec with no more cores and memory than this machine has. */
export const withinMachine = (spec: JobSpec): JobSpec => ({
  ...spec,
  cpuCores: Math.min(spec.cpuCores, allowedCpus().length || 1),
  memoryMib: Math.min(spec.memoryMib, Math.floor(totalmem() / 1024 ** 2)),
})

export type Limits = {
  /** Returns the words to put before the words that isolate. Each program was tried, so none of them keeps a job from
   *  running. */
  outer(cpuCores: number): readonly string[]
  /** Returns the words to put after them: limits of Linux that count for one user or one user namespace. */
  inner(diskBytes: number): readonly string[]
}

/** Finds out which limits this system lets the program set.
 *
 *  Memory is not limited here but watched (follow.ts): a limit on address space breaks V8 and CUDA, which reserve far
 *  more than they use. */
export const probeLimits = async (): Promise<Limits> => {
  const [canNice, canPin, canOffer, canLimit, canReset] = await Promise.all([
    works(['nice', '-n', niceness, 'true']),
    works(['taskset', '--cpu-list', String(allowedCpus()[0] ?? 0), 'true']),
    works([...firstToGo, 'true']),
    works(['prlimit', '--core=0', 'true']),
    works(['env', '--default-signal=INT,QUIT', 'true']),
  ])
  let nextCpu = 0
  return {
    outer(cpuCores) {
      const cpus = canPin ? pickCpus(allowedCpus(), cpuCores, nextCpu) : undefined
      nextCpu += cpus?.length ?? 0
      return [
        ...(canNice ? ['nice', '-n', niceness] : []),
        ...(canOffer ? firstToGo : []),
        ...(cpus ? ['taskset', '--cpu-list', cpus.join(',')] : []),
      ]
    },
    inner(diskBytes) {
      const limits = readFileSync('/proc/self/limits', 'utf8')
      const files = withinHardLimit(limits, 'Max open files', openFilesMax)
      const processes = withinHardLimit(limits, 'Max processes', processesMax)
      const signals = withinHardLimit(limits, 'Max pending signals', pendingSignalsMax)
      const fileBytes = withinHardLimit(limits, 'Max file size', diskBytes)
      return [
        ...(canLimit
          ? [
              ...['prlimit', '--core=0', `--nproc=${processes}`, `--nofile=${files}`, `--fsize=${fileBytes}`],
              `--sigpending=${signals}`,
            ]
          : []),
        // A shell starts background programs with both ignored.
        ...(canReset ? ['env', '--default-signal=INT,QUIT'] : []),
      ]
    },
  }
}
