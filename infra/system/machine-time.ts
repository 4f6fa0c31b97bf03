import { currentBootId } from './processes.ts'

/** A moment on a clock that runs on by itself and cannot be set. Only moments on the same clock, which has a name, can be compared. */
export type MachineTime = { readonly clock: string; readonly ms: number }

let clock: string | undefined

/** Returns the time since this machine was started, in whole milliseconds, whatever its wall clock is set to. It goes on
 *  through restarts of this program, and stands still while the machine sleeps. */
export const machineTime = (): MachineTime => {
  clock ??= currentBootId()
  return { clock, ms: Number(process.hrtime.bigint() / 1_000_000n) }
}
