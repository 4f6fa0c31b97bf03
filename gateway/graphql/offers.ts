import { importOffers, type ListedLine, type OfferImport } from '../../commands/import-offers.ts'
import { csvCharactersMax, type LineWarning, offerLinesMax } from '../../commands/offers.ts'
import { listingsLookedAtMax, type WithdrawnOffers, withdrawOffers } from '../../commands/withdraw-offers.ts'
import { isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { listingsOf, openListingsOf } from '../../projections/listings.ts'
import { builder } from './builder.ts'
import { resultPosition, waitMsMax } from './context.ts'
import { ErrorInterface } from './errors.ts'
import { limited } from './input-limits.ts'
import { payloadOf } from './payloads.ts'

/** The most lines of each kind that one answer lists; the counts are of all. */
const linesReportedMax = 1_000
const equalsBeforeMax = 1_000_000
const matchedMax = 20_000
const linesOfPartMax = 2 ** 31 - 1 - offerLinesMax

type Answer = OfferImport & { readonly position: Position }

const ListedLineType = builder.objectRef<ListedLine>('ListedLine').implement({
  fields: (t) => ({
    line: t.exposeInt('line', { description: 'The header is line 1.' }),
    listing: t.exposeID('listing'),
  }),
})

const RefusedLineType = builder
  .objectRef<Refusal & Pick<OfferImport['refused'][number], 'line' | 'listing' | 'namesMachine'>>('RefusedLine')
  .implement({
    interfaces: [ErrorInterface],
    fields: (t) => ({
      line: t.exposeInt('line', { description: 'The header is line 1.' }),
      listing: t.id({
        nullable: true,
        description: 'What was listed for this machine before. It is left as it is.',
        resolve: ({ listing }) => listing,
      }),
      namesMachine: t.boolean({
        description: 'False when not even the columns of the line can be read.',
        resolve: ({ namesMachine }) => namesMachine,
      }),
    }),
  })

const LineWarningType = builder.objectRef<LineWarning>('LineWarning').implement({
  description: 'What was imported as it stands, and is hardly meant so.',
  fields: (t) => ({ line: t.exposeInt('line', {}), warning: t.exposeString('warning', {}) }),
})

const Counts = builder.objectRef<OfferImport>('ImportCounts').implement({
  description: 'The numbers of lines, also where the answer lists only the first of them.',
  fields: (t) => ({
    listed: t.int({ resolve: ({ listed }) => listed.length }),
    changed: t.int({ resolve: ({ changed }) => changed.length }),
    unchanged: t.int({ resolve: ({ unchanged }) => unchanged.length }),
    refused: t.int({ resolve: ({ refused }) => refused.length }),
    warnings: t.int({ resolve: ({ warnings }) => warnings.length }),
    withoutGpu: t.exposeInt('withoutGpu', { description: 'Lines with a machine that has no GPU.' }),
  }),
})

const first = <Line>(lines: readonly Line[]): Line[] => lines.slice(0, linesReportedMax)
const refusalsOf = (lines: OfferImport['refused']) =>
  first(lines).map(({ line, refusal, listing, namesMachine }) => ({ line, listing, namesMachine, ...refusal }))

const Success = builder.objectRef<Answer>('ImportOffersSuccess')
Success.implement({
  description: `Each list has at most ${linesReportedMax} lines.`,
  fields: (t) => ({
    counts: t.field({ type: Counts, resolve: (answer) => answer }),
    listed: t.field({ type: [ListedLineType], resolve: ({ listed }) => first(listed) }),
    changed: t.field({
      type: [ListedLineType],
      description: 'With whole: the listings that got the price of the file, or were listed anew.',
      resolve: ({ changed }) => first(changed),
    }),
    unchanged: t.field({
      type: [ListedLineType],
      description: 'The lines that were imported before.',
      resolve: ({ unchanged }) => first(unchanged),
    }),
    refused: t.field({ type: [RefusedLineType], resolve: ({ refused }) => refusalsOf(refused) }),
    warnings: t.field({ type: [LineWarningType], resolve: ({ warnings }) => first(warnings) }),
    matched: t.idList({
      description: 'For the next part of the file: listings that were found by what they offer.',
      resolve: ({ matched }) => first(matched),
    }),
    position: t.expose('position', { type: 'Position' }),
  }),
})

const OfferFilePart = builder.inputType('OfferFilePart', {
  description: 'Where the lines stand in a file that is sent in parts, one after the other, each with the header.',
  fields: (t) => ({
    firstLine: t.int({ required: true, description: 'The number of the first line after the header.' }),
    equalsBefore: t.intList({
      required: true,
      description:
        'For each record: how many records of earlier parts have the same InstanceType, AcceleratorName, AcceleratorCount and Region.',
      ...limited({ itemsMax: offerLinesMax }),
    }),
    matched: t.idList({
      required: true,
      description: 'What earlier parts have answered as matched.',
      ...limited({ itemsMax: matchedMax }),
    }),
  }),
})

const ImportOffersInput = builder.inputType('ImportOffersInput', {
  fields: (t) => ({
    csv: t.string({
      required: true,
      description: `A file in the SkyPilot catalog format, of at most ${offerLinesMax} lines; or a part of one.`,
      ...limited({ charactersMax: csvCharactersMax }),
    }),
    whole: t.boolean({
      defaultValue: false,
      description: 'Also changes prices, and lists again what was withdrawn. withdrawOffers withdraws what is gone.',
    }),
    dryRun: t.boolean({ defaultValue: false, description: 'Answers what would be done, and does nothing.' }),
    part: t.field({ type: OfferFilePart }),
  }),
})

type Part = typeof OfferFilePart.$inferInput

/** Refuses INPUT_INVALID for a part whose numbers no file can have. */
const refuseInvalidPart = ({ firstLine, equalsBefore }: Part): Refusal | undefined => {
  if (firstLine < 2 || firstLine > linesOfPartMax)
    return refuse('INPUT_INVALID', { 'part.firstLine': `takes 2 to ${linesOfPartMax}` })
  if (equalsBefore.some((count) => count < 0 || count > equalsBeforeMax))
    return refuse('INPUT_INVALID', { 'part.equalsBefore': `takes numbers from 0 to ${equalsBeforeMax}` })
  return undefined
}

builder.mutationField('importOffers', (t) =>
  t.field({
    type: payloadOf('ImportOffers', Success),
    description:
      'Lists the GPUs of every valid line of an offer file. An invalid line is refused with its number, and the other lines are imported. A machine is found again by what the file calls it, so the same file again changes nothing. Refuses PROVIDER_NOT_REGISTERED, INPUT_INVALID.',
    args: { input: t.arg({ type: ImportOffersInput, required: true }) },
    resolve: async (_, { input: { csv, whole, dryRun, part } }, { services, wallet }) => {
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const refused = part && refuseInvalidPart(part)
      if (refused) return refused
      const earlierListings = (provider: string, sought: Parameters<typeof listingsOf>[2]) =>
        listingsOf(services.read, provider, sought)
      const request = { provider: wallet, csv, whole: whole ?? false, dryRun: dryRun ?? false, part: part ?? undefined }
      const answer = await importOffers({ ...services, earlierListings }, request)
      if (isRefusal(answer)) return answer
      return { ...answer, position: await resultPosition(services, answer) }
    },
  }),
)

const WithdrawSuccess = builder.objectRef<WithdrawnOffers & { readonly position: Position }>('WithdrawOffersSuccess')
WithdrawSuccess.implement({
  fields: (t) => ({
    withdrawn: t.idList({ resolve: ({ withdrawn }) => [...withdrawn] }),
    next: t.id({
      nullable: true,
      description: 'Where to go on, as after, when the range has more listings than one answer looks at.',
      resolve: ({ next }) => next,
    }),
    position: t.expose('position', { type: 'Position' }),
  }),
})

const WithdrawOffersInput = builder.inputType('WithdrawOffersInput', {
  fields: (t) => ({
    keep: t.idList({
      required: true,
      description: 'The listings within the range that stay.',
      ...limited({ itemsMax: listingsLookedAtMax }),
    }),
    after: t.id({ description: 'The range begins above this id; with the first one when left out.' }),
    until: t.id({ description: 'The last id of the range; the last of all when left out.' }),
    dryRun: t.boolean({ defaultValue: false, description: 'Answers what would be done, and does nothing.' }),
  }),
})

builder.mutationField('withdrawOffers', (t) =>
  t.field({
    type: payloadOf('WithdrawOffers', WithdrawSuccess),
    description: `Withdraws the imported listings of the viewer that are not kept, within a range of ids; one call looks at ${listingsLookedAtMax} listings. Running rentals go on, and what was listed with listGpus stays. Refuses PROVIDER_NOT_REGISTERED, INPUT_INVALID.`,
    args: { input: t.arg({ type: WithdrawOffersInput, required: true }) },
    resolve: async (_, { input: { keep, after, until, dryRun } }, context) => {
      const { services, wallet } = context
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      // What this provider has imported a moment ago must be seen.
      await services.waitFor(await services.store.head(), waitMsMax, ['listings'])
      const openListings = (provider: string, range: Parameters<typeof openListingsOf>[2]) =>
        openListingsOf(services.read, provider, range)
      const range = { after: after ?? undefined, until: until ?? undefined }
      const request = { provider: wallet, keep, dryRun: dryRun ?? false, ...range }
      const answer = await withdrawOffers({ ...services, openListings }, request)
      if (isRefusal(answer)) return answer
      return { ...answer, position: await resultPosition(services, answer) }
    },
  }),
)
