import { importOffers } from '../../commands/import-offers.ts'
import { csvCharactersMax, type RefusedLine } from '../../commands/offers.ts'
import { isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { builder } from './builder.ts'
import { resultPosition } from './context.ts'
import { ErrorInterface } from './errors.ts'
import { limited } from './input-limits.ts'
import { payloadOf } from './payloads.ts'

type Line = { readonly line: number; readonly listing: string }
type Answer = {
  readonly listed: readonly Line[]
  readonly unchanged: readonly Line[]
  readonly refused: readonly RefusedLine[]
  readonly position: Position
}

const ListedLine = builder.objectRef<Line>('ListedLine').implement({
  fields: (t) => ({
    line: t.exposeInt('line', { description: 'The header is line 1.' }),
    listing: t.exposeID('listing'),
  }),
})

const RefusedLineType = builder.objectRef<Refusal & { readonly line: number }>('RefusedLine').implement({
  interfaces: [ErrorInterface],
  fields: (t) => ({ line: t.exposeInt('line', { description: 'The header is line 1.' }) }),
})

const Success = builder.objectRef<Answer>('ImportOffersSuccess')
Success.implement({
  fields: (t) => ({
    listed: t.field({ type: [ListedLine], resolve: ({ listed }) => [...listed] }),
    unchanged: t.field({
      type: [ListedLine],
      description: 'The lines that were imported before.',
      resolve: ({ unchanged }) => [...unchanged],
    }),
    refused: t.field({
      type: [RefusedLineType],
      resolve: ({ refused }) => refused.map(({ line, refusal }) => ({ line, ...refusal })),
    }),
    position: t.expose('position', { type: 'Position' }),
  }),
})

const ImportOffersInput = builder.inputType('ImportOffersInput', {
  fields: (t) => ({
    csv: t.string({
      required: true,
      description: 'A file in the SkyPilot catalog format.',
      ...limited({ charactersMax: csvCharactersMax }),
    }),
  }),
})

builder.mutationField('importOffers', (t) =>
  t.field({
    type: payloadOf('ImportOffers', Success),
    description:
      'Lists the GPUs of every valid line of an offer file. An invalid line is refused with its number, and the other lines are imported. The same file again changes nothing. Refuses PROVIDER_NOT_REGISTERED, INPUT_INVALID.',
    args: { input: t.arg({ type: ImportOffersInput, required: true }) },
    resolve: async (_, { input: { csv } }, { services, wallet }) => {
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const answer = await importOffers(services, { provider: wallet, csv })
      if (isRefusal(answer)) return answer
      return { ...answer, position: await resultPosition(services, answer) }
    },
  }),
)
