import type { StateOf } from '../domain/aggregates.ts'

/** What a job may use of a machine, at most. */
export type Caps = { readonly cpuCores: number; readonly memoryMib: number }

/** Returns what a job may use at most when `rentedGpus` of the listing's GPUs were rented: the same part of the cores and
 *  memory, rounded down, at least 1. A listing that states no cores or no memory (0) sets no cap of that kind.
 *
 *  @example capsOf(listing, 1) // { cpuCores: 4, memoryMib: 32768 } of 8 GPUs with 32 cores and 262144 MiB */
export const capsOf = (listing: StateOf<'listing'>, rentedGpus: number): Caps => {
  const none = { cpuCores: Number.POSITIVE_INFINITY, memoryMib: Number.POSITIVE_INFINITY }
  if (listing.status === 'none') return none
  const part = (whole: number) =>
    Math.max(1, Math.floor((whole * Math.min(rentedGpus, listing.gpuCount)) / listing.gpuCount))
  return {
    cpuCores: listing.vcpus > 0 ? part(listing.vcpus) : none.cpuCores,
    memoryMib: listing.memoryMib > 0 ? part(listing.memoryMib) : none.memoryMib,
  }
}
