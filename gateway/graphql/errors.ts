import type { Commands } from '../../commands/execute.ts'
import type { AggregateName } from '../../domain/aggregates.ts'
import { type Details, type ErrorCode, errors, type Refusal, refuse } from '../../domain/errors.ts'
import { builder } from './builder.ts'

const codes = Object.keys(errors) as ErrorCode[]

export const ErrorCodeType = builder.enumType('ErrorCode', {
  description: 'Every refusal and failure that this platform can answer with. A code keeps its meaning for ever.',
  values: Object.fromEntries(codes.map((code) => [code, { value: code, description: errors[code].message }])) as Record<
    ErrorCode,
    { value: ErrorCode; description: string }
  >,
})

const Detail = builder.objectRef<{ readonly name: string; readonly value: string }>('Detail').implement({
  description: 'One fact about a refusal, for instance the field that was wrong.',
  fields: (t) => ({ name: t.exposeString('name', {}), value: t.exposeString('value', {}) }),
})

export const ErrorInterface = builder.interfaceRef<Refusal>('Error').implement({
  description: 'What every refusal tells.',
  fields: (t) => ({
    code: t.field({ type: ErrorCodeType, resolve: ({ refused }) => refused }),
    message: t.string({ resolve: ({ refused }) => errors[refused].message }),
    hint: t.string({ description: 'What to do about it.', resolve: ({ refused }) => errors[refused].hint }),
    details: t.field({ type: [Detail], resolve: ({ details }) => detailsOf(details) }),
  }),
})

export const Refused = builder.objectRef<Refusal>('Refused').implement({
  description: 'The answer is no; nothing was changed unless the details say so.',
  interfaces: [ErrorInterface],
  fields: () => ({}),
})

export const detailsOf = (details: Details) => Object.entries(details).map(([name, value]) => ({ name, value }))

const unknownCodes: { readonly [Name in AggregateName]?: ErrorCode } = {
  job: 'JOB_UNKNOWN',
  listing: 'LISTING_UNKNOWN',
  provider: 'PROVIDER_NOT_REGISTERED',
  rental: 'RENTAL_UNKNOWN',
}

/** Commands refuse a stranger before they look further, also where there is nothing: here that is said by name. */
export const unknownIfMissing = async (
  { current }: Commands,
  name: AggregateName,
  id: string,
  refusal: Refusal,
): Promise<Refusal> => {
  const code = unknownCodes[name]
  if (code === undefined || refusal.refused !== 'NOT_YOURS') return refusal
  return (await current(name, id)).state.status === 'none' ? refuse(code, { [name]: id }) : refusal
}
