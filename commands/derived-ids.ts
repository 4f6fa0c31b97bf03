// Every id that is made of what it stands for, so that the same thing asked for twice is the same thing. The first word
// of each, the order of its parts, and the keys and their order in what is hashed as JSON are data: a different id
// would mean another rental, another job, or a deposit paid twice. testing/golden/names.spec.ts pins them.
import type { CommandOf } from '../domain/aggregates.ts'
import type { Program } from '../domain/job.ts'
import type { Offer } from '../domain/listing.ts'
import type { EndReason, Placement } from '../domain/rental.ts'
import type { Actor } from './actor.ts'
import { derivedId } from './ids.ts'

/** The input of a listing as it was sent: the price is decimal text. */
export type ListingInput = {
  readonly gpu: string
  readonly gpuCount: number
  readonly vramMib: number
  readonly vcpus: number
  readonly memoryMib: number
  readonly region: string
  readonly pricePerGpuHour: string
  readonly asset?: string | null | undefined
  readonly idempotencyKey: string
}

const listingJson = (input: ListingInput): string =>
  JSON.stringify({
    gpu: input.gpu,
    gpuCount: input.gpuCount,
    vramMib: input.vramMib,
    vcpus: input.vcpus,
    memoryMib: input.memoryMib,
    region: input.region,
    pricePerGpuHour: input.pricePerGpuHour,
    asset: input.asset,
    idempotencyKey: input.idempotencyKey,
  })

/** What an offer file calls a machine, as it is written there. */
export type Machine = {
  readonly instanceType: string
  readonly model: string
  readonly count: string
  readonly region: string
}

const offerJson = (offer: Omit<Offer, 'provider'>): string =>
  JSON.stringify({
    gpu: offer.gpu,
    gpuCount: offer.gpuCount,
    vramMib: offer.vramMib,
    vcpus: offer.vcpus,
    memoryMib: offer.memoryMib,
    region: offer.region,
    pricePerGpuHour: String(offer.pricePerGpuHour.amount),
  })

const machineJson = (machine: Machine): string =>
  JSON.stringify({
    instanceType: machine.instanceType,
    model: machine.model,
    count: machine.count,
    region: machine.region,
  })

const jobJson = (job: Program & { readonly renter: string; readonly rental: string }): string =>
  JSON.stringify({
    renter: job.renter,
    rental: job.rental,
    command: job.command,
    files: job.files.map(({ path, content }) => ({ path, content })),
    environment: job.environment,
    timeoutSeconds: job.timeoutSeconds,
    cpuCores: job.cpuCores,
    memoryMib: job.memoryMib,
    graceSeconds: job.graceSeconds,
  })

/** Ids of aggregates, and idempotency keys made of others. */
export const ids = {
  listing: (provider: string, idempotencyKey: string) => derivedId('listing', provider, idempotencyKey),
  /** Returns the id of a listing of a machine in an offer file. `copy` counts the earlier lines that call their machine
   *  the same, `generation` the earlier listings of the machine that were withdrawn. */
  machineListing: (provider: string, machine: Machine, copy: number, generation: number) =>
    derivedId('machine', provider, machineJson(machine), String(copy), String(generation)),
  /** Returns the id of a listing from an import before machines were found by their names. `copy` counts the earlier
   *  lines with the same content. */
  importedListing: (provider: string, offer: Omit<Offer, 'provider'>, copy: number) =>
    derivedId('listing', provider, offerJson(offer), String(copy)),
  rental: (renter: string, idempotencyKey: string) => derivedId('rental', renter, idempotencyKey),
  job: (renter: string, idempotencyKey: string) => derivedId('job', renter, idempotencyKey),
  /** Returns the key under which the offer at `index` is tried; the first one is tried under the renter's own key. */
  keyOfTry: (idempotencyKey: string, index: number) =>
    index === 0 ? idempotencyKey : derivedId('try', idempotencyKey, String(index)),
}

/** Correlation ids of what no request began. */
export const correlationIds = {
  import: (provider: string, csv: string) => derivedId('import', provider, csv),
  deposit: (payment: string) => derivedId('deposit', payment),
}

/** Ids of commands: the same again is the same request, and gets the first answer. */
export const commandIds = {
  listGpus: (listing: string, input: ListingInput) => derivedId('list', listing, listingJson(input)),
  importListing: (listing: string) => derivedId('list', listing),
  importMachine: (listing: string) => derivedId('list machine', listing),
  requestRental: (
    rental: string,
    {
      listing,
      gpuCount,
      seconds,
      maxPricePerGpuHour: { amount, asset },
    }: Pick<
      CommandOf<'rental'> & { readonly type: 'RequestRental' },
      'listing' | 'gpuCount' | 'seconds' | 'maxPricePerGpuHour'
    >,
  ) => derivedId('rent', rental, ...[listing, gpuCount, seconds, amount, asset].map(String)),
  /** Returns the id of a request for which placement chose the listing: whichever it chose, it is the same request. */
  requestPlacedRental: (
    rental: string,
    { gpu, vramMib, region }: Pick<Placement, 'gpu' | 'vramMib' | 'region'>,
    {
      gpuCount,
      seconds,
      maxPricePerGpuHour: { amount, asset },
    }: Pick<CommandOf<'rental'> & { readonly type: 'RequestRental' }, 'gpuCount' | 'seconds' | 'maxPricePerGpuHour'>,
  ) =>
    derivedId(
      'place',
      rental,
      JSON.stringify({ gpu, vramMib, region }),
      ...[gpuCount, seconds, amount, asset].map(String),
    ),
  submitJob: (job: string, request: Program & { readonly renter: string; readonly rental: string }) =>
    derivedId('submit', job, jobJson(request)),
  meterRental: (rental: string, period: number) => derivedId('meter', rental, String(period)),
  endRental: (rental: string, reason: EndReason, actor: Actor) => derivedId('end', rental, reason, actor),
  admitJob: (rental: string, job: string) => derivedId('admit', rental, job),
  closeJob: (rental: string, job: string) => derivedId('close', rental, job),
  completeEnd: (rental: string) => derivedId('complete end', rental),
  stopForEnd: (job: string) => derivedId('stop for end', job),
  sagaStep: (saga: string, triggerEventId: string, step: string) => derivedId(saga, triggerEventId, step),
  watchDeposit: (payment: string, type: CommandOf<'payment'>['type'], ...identity: readonly string[]) =>
    derivedId('watcher', payment, type, ...identity),
  reportJob: (job: string, type: CommandOf<'job'>['type'], ...identity: readonly string[]) =>
    derivedId('scheduler', job, type, ...identity),
}
