import { userActor } from '../../commands/actor.ts'
import { aggregates, streamOf } from '../../domain/aggregates.ts'
import { Failure, isRefusal, refuse } from '../../domain/errors.ts'
import { money } from '../../domain/money.ts'
import { endAndSettle } from '../../processes/end-rental.ts'
import { requestRental } from '../../processes/rent-a-gpu.ts'
import { rentCheapest } from '../../processes/rent-cheapest.ts'
import type { RentalStatus } from '../../projections/rentals.table.ts'
import { findRental, listRentals, rentals } from '../../projections/rentals.ts'
import { listRentalsAsOf } from '../../projections/rentals-as-of.ts'
import { asOfArgument, listAsOfArgument, reachMoment, rowAt } from './as-of.ts'
import { builder } from './builder.ts'
import { reachPosition, requireWallet, resultPosition } from './context.ts'
import { ErrorCodeType, requireState, unknownIfMissing } from './errors.ts'
import { limited } from './input-limits.ts'
import { isExactlyOne, keyLimit, refuseBlankRegion, refuseInvalidKey, regionInput, withoutNulls } from './inputs.ts'
import { assetDefault, MoneyType, moneyOrNull, parsePrice, priceInput } from './money.ts'
import { Invoice, Listing, Provider, Rental } from './nodes.ts'
import { requireOwner, sees, walletArgument } from './owners.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'
import { nodePayloadOf } from './payloads.ts'
import { detailsOfRejection } from './rejection.ts'
import { afterArgument, rowUpdates, updateTypeOf } from './subscriptions.ts'

// The node

const statuses: readonly RentalStatus[] = ['requested', 'rejected', 'active', 'ending', 'ended', 'settled']
const RentalStatusType = builder.enumType('RentalStatus', {
  description:
    'requested → active → ended → settled, or requested → rejected. A rental whose jobs still run at its end is ending until the last of them has ended.',
  values: statuses,
})
const EndReasonType = builder.enumType('EndReason', { values: ['returned', 'expired'] as const })

Rental.implement({
  description:
    'A lease of GPUs of one listing, paid by the second. Visible to its renter and its provider, auditors and operators.',
  fields: (t) => ({
    id: t.exposeID('id'),
    status: t.expose('status', { type: RentalStatusType }),
    renter: t.exposeID('renter', { description: 'A wallet.' }),
    listing: t.field({
      type: Listing,
      nullable: true,
      resolve: (rental, _, { loaders }) => loaders.listing(rental.listing),
    }),
    provider: t.field({
      type: Provider,
      nullable: true,
      description: 'Null until the rental is active.',
      resolve: ({ provider }, _, { loaders }) => (provider === null ? null : loaders.provider(provider)),
    }),
    gpu: t.exposeString('gpu', { nullable: true, description: 'Null until the rental is active.' }),
    gpuCount: t.exposeInt('gpuCount'),
    seconds: t.int({
      description: 'The longest time that it may run, in seconds.',
      resolve: ({ seconds }) => Number(seconds),
    }),
    runSeconds: t.int({
      description:
        'How long it has run, in seconds, as of the last charge. While it is active it is charged once in each charge period (5 minutes unless set otherwise) and at its end; updatedAt is not before that.',
      resolve: ({ runSeconds }) => Number(runSeconds),
    }),
    maxPricePerGpuHour: t.field({
      type: MoneyType,
      resolve: ({ maxPricePerGpuHour, asset }) => money(maxPricePerGpuHour, asset),
    }),
    pricePerGpuHour: t.field({
      type: MoneyType,
      nullable: true,
      description: 'The price at the start of the rental. Later changes of the listing do not change it.',
      resolve: ({ pricePerGpuHour, asset }) => moneyOrNull(pricePerGpuHour, asset),
    }),
    held: t.field({
      type: MoneyType,
      nullable: true,
      description: 'The money that was held for the whole time.',
      resolve: ({ held, asset }) => moneyOrNull(held, asset),
    }),
    charged: t.field({
      type: MoneyType,
      description: 'The price of runSeconds, rounded down, as of the same moment.',
      resolve: ({ charged, asset }) => money(charged, asset),
    }),
    released: t.field({
      type: MoneyType,
      nullable: true,
      description: 'The part of the hold that was released at the end.',
      resolve: ({ released, asset }) => moneyOrNull(released, asset),
    }),
    refusal: t.expose('refusal', { type: ErrorCodeType, nullable: true, description: 'Why it was rejected.' }),
    endReason: t.expose('endReason', { type: EndReasonType, nullable: true }),
    requestedAt: t.expose('requestedAt', { type: 'DateTime' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true }),
    endsAt: t.expose('endsAt', { type: 'DateTime', nullable: true, description: 'When it expires.' }),
    endRequestedAt: t.expose('endRequestedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When its end was requested while jobs ran. No job starts since then.',
    }),
    openJobs: t.exposeInt('openJobs', {
      description:
        'Jobs that may still run. While it is ending, the GPUs stay reserved until their cluster says that the last of them is gone; what is charged is bounded by endRequestedAt and the grace of the jobs.',
    }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true }),
    settledAt: t.expose('settledAt', { type: 'DateTime', nullable: true }),
    invoice: t.field({
      type: Invoice,
      nullable: true,
      description: 'Null until it is settled.',
      resolve: ({ id }, _, { loaders }) => loaders.invoice(id),
    }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
})

// Queries

/** Returns whether the wallet is the renter or the provider. */
const isParty = (wallet: string, { renter, provider }: { renter: string; provider?: string | null }): boolean =>
  wallet === renter || wallet === provider

builder.queryField('rental', (t) =>
  t.field({
    type: Rental,
    nullable: true,
    description:
      'A rental of the viewer, as renter or provider; any rental for auditors and operators. Fails with RENTAL_UNKNOWN, NOT_YOURS.',
    args: { id: t.arg.id({ required: true }), ...asOfArgument, ...atLeastArgument },
    resolve: async (_, { id, asOf, atLeast }, context, info) => {
      requireWallet(context)
      await reachPosition(context, atLeast, info)
      const rental = await rowAt(context, asOf, {
        projection: rentals,
        stream: streamOf('rental', id),
        id,
        find: findRental,
        isMine: ({ renter, provider }) => sees(context, [renter, provider]),
      })
      if (!rental) throw new Failure('RENTAL_UNKNOWN', { rental: id })
      return rental
    },
  }),
)

const RentalConnection = connectionOf('Rental', Rental)
const RentalRole = builder.enumType('RentalRole', { values: ['renter', 'provider'] as const })

builder.queryField('rentals', (t) =>
  t.field({
    type: RentalConnection,
    description: 'The rentals of the viewer, or of the wallet, newest first.',
    args: {
      as: t.arg({ type: RentalRole, defaultValue: 'renter' }),
      status: t.arg({ type: RentalStatusType }),
      ...walletArgument,
      ...listAsOfArgument,
      ...pageArguments,
      ...atLeastArgument,
    },
    resolve: async (_, { as, status, wallet: named, asOf, atLeast, ...page }, context, info) => {
      const wallet = requireOwner(context, named)
      await reachPosition(context, atLeast, info)
      const moment = await reachMoment(context, asOf, info)
      const request = { ...pageRequest(page), [as ?? 'renter']: wallet, status: status ?? undefined }
      const found = await (moment
        ? listRentalsAsOf(context.services, moment, request)
        : listRentals(context.services.read, request))
      return toConnection(found, request, ({ requestedAt, id }) => [requestedAt, id])
    },
  }),
)

// Mutations

const fields = aggregates.rental.commandFields

const RentGpuInput = builder.inputType('RentGpuInput', {
  description: 'Takes either a listing or a GPU model with its requirements, and either seconds or hours.',
  fields: (t) => ({
    listing: t.id({ description: 'The listing to rent from.' }),
    gpu: t.string({ description: 'A model such as "H100" or "RTX 4090": the cheapest listing that fits is rented.' }),
    vramMibMin: t.int({ description: 'The least memory of one GPU. Only together with gpu.' }),
    region: t.string({ description: `${regionInput} Only together with gpu.` }),
    gpuCount: t.int({ defaultValue: 1, ...limited(fields.gpuCount) }),
    seconds: t.int({
      description: 'The longest time to rent for. The rental can be ended earlier.',
      ...limited(fields.seconds),
    }),
    hours: t.int(),
    maxPricePerGpuHour: t.string({ required: true, ...priceInput }),
    asset: t.string({ defaultValue: assetDefault }),
    idempotencyKey: t.string({
      required: true,
      description: 'The same key again is the same request.',
      ...limited(keyLimit),
    }),
  }),
})

builder.mutationField('rentGpu', (t) =>
  t.field({
    type: nodePayloadOf('RentGpu', 'rental', Rental, findRental),
    description:
      'Reserves the GPUs, holds the money for the whole time and starts the rental, all or nothing. When the listing or the account refuses (LISTING_FULL, INSUFFICIENT_FUNDS, …), the details have the id of the rejected rental and its position.',
    args: { input: t.arg({ type: RentGpuInput, required: true }) },
    resolve: async (_, { input }, { services, wallet }) => {
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const request = parseRentGpuInput(input)
      if (isRefusal(request)) return request
      const rented = await ('needs' in request
        ? rentCheapest(services, { renter: wallet, ...request })
        : requestRental(services, { renter: wallet, ...request }))
      if (isRefusal(rented)) return rented
      const position = await resultPosition(services, rented)
      return rented.outcome === 'rejected'
        ? refuse(rented.code, { rental: rented.rental, position, ...(await detailsOfRejection(services, rented)) })
        : { id: rented.rental, position }
    },
  }),
)

const secondsPerHour = 3600
const secondsMax = 2 ** 31 - 1

/** Returns the request of the input: for a listing, or with needs for placement. Refuses INPUT_INVALID. */
const parseRentGpuInput = (input: typeof RentGpuInput.$inferInput) => {
  const { listing, gpu, vramMibMin, region, seconds, hours, idempotencyKey } = input
  const refusedKey = refuseInvalidKey(idempotencyKey)
  if (refusedKey) return refusedKey
  if (!isExactlyOne(listing || undefined, gpu || undefined))
    return refuse('INPUT_INVALID', { listing: 'takes exactly one of listing and gpu' })
  if (!isExactlyOne(seconds, hours))
    return refuse('INPUT_INVALID', { seconds: 'takes exactly one of seconds and hours' })
  const hoursMax = Math.floor(secondsMax / secondsPerHour)
  if ((hours ?? 0) > hoursMax) return refuse('INPUT_INVALID', { hours: `takes at most ${hoursMax}` })
  if ((hours ?? 1) < 1) return refuse('RENTAL_INVALID', { hours: String(hours) })
  const time = seconds ?? (hours ?? 0) * secondsPerHour
  const maxPricePerGpuHour = parsePrice('maxPricePerGpuHour', input.maxPricePerGpuHour, input.asset)
  if (isRefusal(maxPricePerGpuHour)) return maxPricePerGpuHour
  const refusedRegion = refuseBlankRegion(region)
  if (refusedRegion) return refusedRegion
  const gpuCount = input.gpuCount ?? 1
  const terms = { idempotencyKey, gpuCount, seconds: BigInt(time), maxPricePerGpuHour }
  if ((vramMibMin ?? 0) < 0) return refuse('INPUT_INVALID', { vramMibMin: 'takes at least 0' })
  if (gpu)
    return { ...terms, needs: { gpu, gpuCount, maxPricePerGpuHour, ...withoutNulls({ vramMib: vramMibMin, region }) } }
  if (vramMibMin || region) return refuse('INPUT_INVALID', { listing: 'takes no vramMibMin and no region beside it' })
  return { ...terms, listing: listing ?? '' }
}

const EndRentalInput = builder.inputType('EndRentalInput', { fields: (t) => ({ rental: t.id({ required: true }) }) })

builder.mutationField('endRental', (t) =>
  t.field({
    type: nodePayloadOf('EndRental', 'rental', Rental, findRental),
    description:
      'Ends the rental. Charges the time that it ran, to the second, and releases the rest of the hold. While jobs run, the rental is ending: they are asked to stop, and the invoice comes with rentalUpdated when the last of them has ended.',
    args: { input: t.arg({ type: EndRentalInput, required: true }) },
    resolve: async (_, { input: { rental } }, { services, wallet }) => {
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const ended = await endAndSettle(services, rental, 'returned', userActor(wallet))
      if (isRefusal(ended)) return unknownIfMissing(services.commands, 'rental', rental, ended)
      return { id: rental, position: await resultPosition(services, ended) }
    },
  }),
)

// Subscriptions

const RentalUpdate = updateTypeOf('RentalUpdate', 'rental', Rental, { startsWithSnapshot: true })

builder.subscriptionField('rentalUpdated', (t) =>
  t.field({
    type: RentalUpdate,
    description: 'The rental as it is now, then each change.',
    args: { id: t.arg.id({ required: true }), ...afterArgument },
    subscribe: async (_, { id, after }, context) => {
      const wallet = requireWallet(context)
      const rental = await requireState(context.services.commands, 'rental', id)
      if (!isParty(wallet, rental)) throw new Failure('NOT_YOURS')
      return rowUpdates(context, { projection: rentals, stream: streamOf('rental', id), after })
    },
    resolve: (update) => update,
  }),
)
