import type { EventOf, StateOf } from '../domain/aggregates.ts'
import type { JobSpec } from '../infra/clusters/port.ts'
import type { Caps } from './caps.ts'

/** Returns what the cluster is to run: the program that was submitted, within the caps of its part of the machine, for
 *  the rest of the rented time from `at` (ISO 8601) on. */
export const specOf = (
  jobId: string,
  attempt: number,
  submitted: Extract<EventOf<'job'>, { type: 'JobSubmitted' }>,
  rental: StateOf<'rental'>,
  caps: Caps | undefined,
  at: string,
): JobSpec => {
  const { command, files, environment, timeoutSeconds, cpuCores, memoryMib, graceSeconds } = submitted
  const leftMs = 'endsAt' in rental ? Date.parse(rental.endsAt) - Date.parse(at) : 0
  return {
    jobId,
    attempt,
    command,
    files,
    environment,
    timeoutSeconds,
    cpuCores: Math.min(cpuCores, caps?.cpuCores ?? cpuCores),
    memoryMib: Math.min(memoryMib, caps?.memoryMib ?? memoryMib),
    leaseSeconds: Math.max(leftMs / 1000, 0),
    ...(graceSeconds === undefined ? {} : { graceSeconds }),
  }
}
