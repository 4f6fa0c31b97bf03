/** The descriptors that the program before this one left open: `exec 30< secret; npm start`. */
import { closeSync, readdirSync, readFileSync } from 'node:fs'

const folder = '/proc/self/fd'
/** O_CLOEXEC of Linux, as /proc shows it. */
const closesOnExec = 0o2_000_000
const standardMax = 2

const isInherited = (name: string): boolean => {
  try {
    const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & closesOnExec) === 0
  } catch {
    return false // it was that of the look itself
  }
}

/** Closes the descriptors that this program was started with, but standard input, output and error: each program that it
 *  starts, a job too, would have them. Node marks those that it opens itself, and those below 16. */
export const closeInherited = (): void => {
  for (const name of readdirSync(folder)) if (Number(name) > standardMax && isInherited(name)) closeSync(Number(name))
}
