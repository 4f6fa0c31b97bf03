import { userActor } from '../../commands/actor.ts'
import { streamOf } from '../../domain/aggregates.ts'
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
import { isExactlyOne, refuseInvalidKey, withoutNulls } from './inputs.ts'
import { assetDefault, MoneyType, parseMoney } from './money.ts'
import { Invoice, Listing, Provider, Rental } from './nodes.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'
import { nodePayloadOf } from './payloads.ts'
import { afterArgument, rowUpdates, updateTypeOf } from './subscriptions.ts'

// The node

const statuses: readonly RentalStatus[] = ['requested', 'rejected', 'active', 'ended', 'settled']
const RentalStatusType = builder.enumType('RentalStatus', {
  description: 'requested → active → ended → settled, or requested → rejected.',
  values: statuses,
})
const EndReasonType = builder.enumType('EndReason', { values: ['returned', 'expired'] as const })

Rental.implement({
  description: 'The lease of GPUs of one listing, paid by the second. Seen by its renter and its provider.',
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
    seconds: t.int({ description: 'How long it was rented for.', resolve: ({ seconds }) => Number(seconds) }),
    runSeconds: t.int({ description: 'How long it ran so far.', resolve: ({ runSeconds }) => Number(runSeconds) }),
    maxPricePerGpuHour: t.field({
      type: MoneyType,
      resolve: ({ maxPricePerGpuHour, asset }) => money(maxPricePerGpuHour, asset),
    }),
    pricePerGpuHour: t.field({
      type: MoneyType,
      nullable: true,
      description: 'The price at which it began; later changes of the listing do not touch it.',
      resolve: ({ pricePerGpuHour, asset }) => (pricePerGpuHour === null ? null : money(pricePerGpuHour, asset)),
    }),
    held: t.field({
      type: MoneyType,
      nullable: true,
      description: 'What was set aside for the whole time.',
      resolve: ({ held, asset }) => (held === null ? null : money(held, asset)),
    }),
    charged: t.field({
      type: MoneyType,
      description: 'What is owed for the seconds that it ran so far, rounded down.',
      resolve: ({ charged, asset }) => money(charged, asset),
    }),
    released: t.field({
      type: MoneyType,
      nullable: true,
      description: 'What was given back at the end.',
      resolve: ({ released, asset }) => (released === null ? null : money(released, asset)),
    }),
    refusal: t.expose('refusal', { type: ErrorCodeType, nullable: true, description: 'Why it was rejected.' }),
    endReason: t.expose('endReason', { type: EndReasonType, nullable: true }),
    requestedAt: t.expose('requestedAt', { type: 'DateTime' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true }),
    endsAt: t.expose('endsAt', { type: 'DateTime', nullable: true, description: 'When it ends by itself.' }),
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
    description: 'A rental of the viewer, as renter or provider. Fails with RENTAL_UNKNOWN, NOT_YOURS.',
    args: { id: t.arg.id({ required: true }), ...asOfArgument, ...atLeastArgument },
    resolve: async (_, { id, asOf, atLeast }, context) => {
      const wallet = requireWallet(context)
      await reachPosition(context, atLeast)
      const past = { projection: rentals, stream: streamOf('rental', id), id }
      const rental = await rowAt(context, asOf, past, () => findRental(context.services.read, id))
      if (!rental) throw new Failure('RENTAL_UNKNOWN', { rental: id })
      if (!isParty(wallet, rental)) throw new Failure('NOT_YOURS')
      return rental
    },
  }),
)

const RentalConnection = connectionOf('Rental', Rental)
const RentalRole = builder.enumType('RentalRole', { values: ['renter', 'provider'] as const })

builder.queryField('rentals', (t) =>
  t.field({
    type: RentalConnection,
    description: 'The rentals of the viewer, the newest first.',
    args: {
      as: t.arg({ type: RentalRole, defaultValue: 'renter' }),
      status: t.arg({ type: RentalStatusType }),
      ...listAsOfArgument,
      ...pageArguments,
      ...atLeastArgument,
    },
    resolve: async (_, { as, status, asOf, atLeast, ...page }, context) => {
      const wallet = requireWallet(context)
      await reachPosition(context, atLeast)
      const moment = await reachMoment(context, asOf)
      const request = { ...pageRequest(page), [as ?? 'renter']: wallet, status: status ?? undefined }
      const found = await (moment
        ? listRentalsAsOf(context.services, moment, request)
        : listRentals(context.services.read, request))
      return toConnection(found, request, ({ requestedAt, id }) => [requestedAt, id])
    },
  }),
)

// Mutations

const RentGpuInput = builder.inputType('RentGpuInput', {
  description: 'Either a listing, or what it must be able to do; either seconds or hours.',
  fields: (t) => ({
    listing: t.id({ description: 'This listing and no other.' }),
    gpu: t.string({ description: 'The cheapest fitting listing of this model: "H100".' }),
    vramMibMin: t.int({ description: 'Memory of one GPU. Goes with gpu.' }),
    region: t.string({ description: 'Goes with gpu.' }),
    gpuCount: t.int({ defaultValue: 1 }),
    seconds: t.int({ description: 'For how long at most; it may be given back earlier.' }),
    hours: t.int(),
    maxPricePerGpuHour: t.string({ required: true, description: 'As decimal text: "3" or "2.65".' }),
    asset: t.string({ defaultValue: assetDefault }),
    idempotencyKey: t.string({ required: true, description: 'The same key again is the same request.' }),
  }),
})

builder.mutationField('rentGpu', (t) =>
  t.field({
    type: nodePayloadOf('RentGpu', 'rental', Rental, findRental),
    description:
      'Reserves the GPUs, holds the money for the whole time and starts the clock, all or nothing. When the listing or the account says no (LISTING_FULL, INSUFFICIENT_FUNDS, …) the details name the rejected rental and its position.',
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
        ? refuse(rented.code, { rental: rented.rental, position })
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
  const time = seconds ?? (hours ?? 0) * secondsPerHour
  if (time > secondsMax) return refuse('INPUT_INVALID', { seconds: `takes at most ${secondsMax}` })
  const maxPricePerGpuHour = parseMoney('maxPricePerGpuHour', input.maxPricePerGpuHour, input.asset)
  if (isRefusal(maxPricePerGpuHour)) return maxPricePerGpuHour
  const gpuCount = input.gpuCount ?? 1
  const terms = { idempotencyKey, gpuCount, seconds: BigInt(time), maxPricePerGpuHour }
  if (gpu)
    return { ...terms, needs: { gpu, gpuCount, maxPricePerGpuHour, ...withoutNulls({ vramMib: vramMibMin, region }) } }
  if (vramMibMin || region) return refuse('INPUT_INVALID', { listing: 'takes no vramMibMin and no region beside it' })
  return { ...terms, listing: listing ?? '' }
}

const EndRentalInput = builder.inputType('EndRentalInput', { fields: (t) => ({ rental: t.id({ required: true }) }) })

builder.mutationField('endRental', (t) =>
  t.field({
    type: nodePayloadOf('EndRental', 'rental', Rental, findRental),
    description: 'Gives the GPUs back. What ran is charged to the second, the rest of the hold is released.',
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
    description: 'How a rental stands, then each change.',
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
