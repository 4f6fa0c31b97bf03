import { commandIds, ids } from '../../commands/derived-ids.ts'
import { aggregates, streamOf } from '../../domain/aggregates.ts'
import { Failure, isRefusal, refuse } from '../../domain/errors.ts'
import { gpuKeyOf, gpuNameOf } from '../../domain/gpu-models.ts'
import { money } from '../../domain/money.ts'
import { findListing, gpuModels, gpuModelsMax, listings, searchListings } from '../../projections/listings.ts'
import { asOfArgument, rowAt } from './as-of.ts'
import { builder } from './builder.ts'
import { reachPosition } from './context.ts'
import { dispatch } from './dispatch.ts'
import { limited } from './input-limits.ts'
import { keyLimit, refuseBlankRegion, refuseInvalidKey, regionInput, withoutNulls } from './inputs.ts'
import { assetDefault, MoneyType, parsePrice, priceInput } from './money.ts'
import { Listing, Provider } from './nodes.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'
import { nodePayloadOf } from './payloads.ts'
import { afterArgument, rowUpdates, updateTypeOf } from './subscriptions.ts'

// The node

const ListingStatus = builder.enumType('ListingStatus', { values: ['open', 'withdrawn'] as const })

Listing.implement({
  description: 'An offer of GPUs of one model on one machine.',
  fields: (t) => ({
    id: t.exposeID('id'),
    status: t.expose('status', { type: ListingStatus }),
    provider: t.field({
      type: Provider,
      nullable: true,
      resolve: ({ provider }, _, { loaders }) => loaders.provider(provider),
    }),
    gpu: t.exposeString('gpu', { description: 'The model, such as H100.' }),
    gpuCount: t.exposeInt('gpuCount'),
    freeGpus: t.exposeInt('freeGpus', { description: 'The number of GPUs that are not reserved.' }),
    vramMib: t.exposeInt('vramMib', { description: 'Memory of one GPU.' }),
    vcpus: t.exposeInt('vcpus'),
    memoryMib: t.exposeInt('memoryMib'),
    region: t.exposeString('region'),
    pricePerGpuHour: t.field({
      type: MoneyType,
      resolve: ({ pricePerGpuHour, asset }) => money(pricePerGpuHour, asset),
    }),
    listedAt: t.expose('listedAt', { type: 'DateTime' }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
})

// Queries

builder.queryField('listing', (t) =>
  t.field({
    type: Listing,
    nullable: true,
    description: 'Fails with LISTING_UNKNOWN.',
    args: { id: t.arg.id({ required: true }), ...asOfArgument, ...atLeastArgument },
    resolve: async (_, { id, asOf, atLeast }, context, info) => {
      await reachPosition(context, atLeast, info)
      const listing = await rowAt(context, asOf, {
        projection: listings,
        stream: streamOf('listing', id),
        id,
        find: findListing,
      })
      if (!listing) throw new Failure('LISTING_UNKNOWN', { listing: id })
      return listing
    },
  }),
)

const ListingFilter = builder.inputType('ListingFilter', {
  fields: (t) => ({
    gpu: t.string({ description: 'The model, as people write it: "RTX 4090", "nvidia h100".' }),
    gpuCountMin: t.int({ description: 'The least number of GPUs; with onlyFree, of free GPUs.' }),
    vramMibMin: t.int({ description: 'Memory of one GPU.' }),
    maxPricePerGpuHour: t.string(priceInput),
    asset: t.string({ defaultValue: assetDefault }),
    region: t.string({ description: regionInput }),
    onlyFree: t.boolean({ description: 'Leaves out listings that have no free GPU.' }),
  }),
})

const ListingConnection = connectionOf('Listing', Listing)

builder.queryField('listings', (t) =>
  t.field({
    type: ListingConnection,
    description: 'Open listings, cheapest first.',
    args: { filter: t.arg({ type: ListingFilter }), ...pageArguments, ...atLeastArgument },
    resolve: async (_, { filter, atLeast, ...page }, context, info) => {
      await reachPosition(context, atLeast, info)
      const { maxPricePerGpuHour, asset, gpu, region, ...conditions } = filter ?? {}
      // The asset is looked at without a price too, though nothing is compared with it then.
      const price = parsePrice('maxPricePerGpuHour', maxPricePerGpuHour || '0', asset || undefined)
      const refusal = isRefusal(price) ? price : refuseBlankRegion(region)
      if (refusal) throw new Failure(refusal.refused, refusal.details)
      const pricePerGpuHourMax = maxPricePerGpuHour && !isRefusal(price) ? price : undefined
      const named = { gpu: gpu?.trim() || undefined, region: region || undefined }
      const request = { ...pageRequest(page), ...withoutNulls(conditions), ...named, pricePerGpuHourMax }
      const found = await searchListings(context.services.read, request)
      return toConnection(found, request, ({ pricePerGpuHour, id }) => [String(pricePerGpuHour), id])
    },
  }),
)

builder.queryField('gpuModels', (t) =>
  t.stringList({
    description: 'The GPU models that were ever listed, sorted, each under one name.',
    args: {
      first: t.arg.int({ defaultValue: gpuModelsMax, description: `The number of names, 1 to ${gpuModelsMax}.` }),
      after: t.arg.string({ description: 'A name: only names after it.' }),
      ...atLeastArgument,
    },
    resolve: async (_, { first, after, atLeast }, context, info) => {
      await reachPosition(context, atLeast, info)
      return [...(await gpuModels(context.services.read, { first: first ?? gpuModelsMax, after: after ?? undefined }))]
    },
  }),
)

// Mutations

const fields = aggregates.listing.commandFields

const ListGpusInput = builder.inputType('ListGpusInput', {
  fields: (t) => ({
    gpu: t.string({ required: true, ...limited(fields.gpu) }),
    gpuCount: t.int({ required: true, ...limited(fields.gpuCount) }),
    vramMib: t.int({ required: true, description: 'Memory of one GPU.', ...limited(fields.vramMib) }),
    vcpus: t.int({ required: true, ...limited(fields.vcpus) }),
    memoryMib: t.int({ required: true, ...limited(fields.memoryMib) }),
    region: t.string({ required: true, ...limited(fields.region) }),
    pricePerGpuHour: t.string({ required: true, ...priceInput }),
    asset: t.string({ defaultValue: assetDefault }),
    idempotencyKey: t.string({
      required: true,
      description: 'The same key again is the same listing.',
      ...limited(keyLimit),
    }),
  }),
})

builder.mutationField('listGpus', (t) =>
  t.field({
    type: nodePayloadOf('ListGpus', 'listing', Listing, findListing),
    description: 'Offers GPUs for rent. Refuses PROVIDER_NOT_REGISTERED, LISTING_INVALID.',
    args: { input: t.arg({ type: ListGpusInput, required: true }) },
    resolve: async (_, { input }, context) => {
      const { services, wallet } = context
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const { pricePerGpuHour: price, asset, idempotencyKey, gpu, ...terms } = input
      const offer = { ...terms, gpu: gpuNameOf(gpu) }
      const refusedKey = refuseInvalidKey(idempotencyKey)
      if (refusedKey) return refusedKey
      const numbers = {
        vramMib: offer.vramMib,
        vcpus: offer.vcpus,
        memoryMib: offer.memoryMib,
        gpuCount: offer.gpuCount,
      }
      for (const [field, value] of Object.entries(numbers))
        if (value < 0) return refuse('LISTING_INVALID', { [field]: String(value) })
      const pricePerGpuHour = parsePrice('pricePerGpuHour', price, asset)
      if (isRefusal(pricePerGpuHour)) return pricePerGpuHour
      if ((await services.commands.current('provider', wallet)).state.status === 'none')
        return refuse('PROVIDER_NOT_REGISTERED')
      const id = ids.listing(wallet, idempotencyKey)
      const answer = await dispatch(
        context,
        'listing',
        id,
        (provider, listedAt) => ({ type: 'ListGpus', provider, listedAt, ...offer, pricePerGpuHour }),
        commandIds.listGpus(id, input),
      )
      return isRefusal(answer) && answer.refused === 'LISTING_ALREADY_EXISTS'
        ? refuse('IDEMPOTENCY_KEY_REUSED', { idempotencyKey })
        : answer
    },
  }),
)

const ChangePriceInput = builder.inputType('ChangePriceInput', {
  fields: (t) => ({
    listing: t.id({ required: true }),
    pricePerGpuHour: t.string({ required: true, ...priceInput }),
    asset: t.string({ defaultValue: assetDefault }),
  }),
})

builder.mutationField('changePrice', (t) =>
  t.field({
    type: nodePayloadOf('ChangePrice', 'listing', Listing, findListing),
    description: 'Changes the price of a listing. Running rentals keep their price.',
    args: { input: t.arg({ type: ChangePriceInput, required: true }) },
    resolve: async (_, { input: { listing, pricePerGpuHour: price, asset } }, context) => {
      const pricePerGpuHour = parsePrice('pricePerGpuHour', price, asset)
      if (isRefusal(pricePerGpuHour)) return pricePerGpuHour
      return dispatch(context, 'listing', listing, () => ({ type: 'ChangePrice', pricePerGpuHour }))
    },
  }),
)

const WithdrawListingInput = builder.inputType('WithdrawListingInput', {
  fields: (t) => ({ listing: t.id({ required: true }) }),
})

builder.mutationField('withdrawListing', (t) =>
  t.field({
    type: nodePayloadOf('WithdrawListing', 'listing', Listing, findListing),
    description: 'Withdraws a listing: it cannot be rented any more, and running rentals go on.',
    args: { input: t.arg({ type: WithdrawListingInput, required: true }) },
    resolve: (_, { input: { listing } }, context) =>
      dispatch(context, 'listing', listing, () => ({ type: 'WithdrawListing' })),
  }),
)

// Subscription

const ListingUpdate = updateTypeOf('ListingUpdate', 'listing', Listing, { startsWithSnapshot: false })

builder.subscriptionField('listingChanged', (t) =>
  t.field({
    type: ListingUpdate,
    description: 'Each change of any listing, or of the listings of one model.',
    args: { gpu: t.arg.string({ description: 'The model, as people write it.' }), ...afterArgument },
    subscribe: (_, { gpu, after }, context) => {
      const model = gpu && gpuKeyOf(gpu)
      return rowUpdates(context, { projection: listings, matches: ({ gpuKey }) => !model || gpuKey === model, after })
    },
    resolve: (update) => update,
  }),
)
