import type { Commands } from '../../commands/execute.ts'
import type { AggregateName, StateOf } from '../../domain/aggregates.ts'
import { type Details, type ErrorCode, errors, Failure, type Refusal, refuse } from '../../domain/errors.ts'
import { shortDetails } from '../shortened.ts'
import { builder } from './builder.ts'

const codes = Object.keys(errors) as ErrorCode[]

/** The enum of all codes of domain/errors.ts. */
export const ErrorCodeType = builder.enumType('ErrorCode', {
  description: 'Every refusal and failure that this platform can answer with. A code never changes its meaning.',
  values: Object.fromEntries(codes.map((code) => [code, { value: code, description: errors[code].message }])) as Record<
    ErrorCode,
    { value: ErrorCode; description: string }
  >,
})

const Detail = builder.objectRef<{ readonly name: string; readonly value: string }>('Detail').implement({
  description: 'One detail of a refusal, such as the invalid field.',
  fields: (t) => ({ name: t.exposeString('name', {}), value: t.exposeString('value', {}) }),
})

/** The interface of every refusal. */
export const ErrorInterface = builder.interfaceRef<Refusal>('Error').implement({
  description: 'The fields of every refusal.',
  fields: (t) => ({
    code: t.field({ type: ErrorCodeType, resolve: ({ refused }) => refused }),
    message: t.string({ resolve: ({ refused }) => errors[refused].message }),
    hint: t.string({ description: 'What to do about it.', resolve: ({ refused }) => errors[refused].hint }),
    details: t.field({ type: [Detail], resolve: ({ details }) => detailsOf(details) }),
  }),
})

/** The type that every mutation answers with when it is refused. */
export const Refused = builder.objectRef<Refusal>('Refused').implement({
  description: 'The mutation was refused. It changed nothing unless the details say so.',
  interfaces: [ErrorInterface],
  fields: () => ({}),
})

/** Returns details as a list, for GraphQL has no maps. */
export const detailsOf = (details: Details) =>
  Object.entries(shortDetails(details)).map(([name, value]) => ({ name, value }))

/** The code for an aggregate that does not exist. */
const unknownCodes = {
  job: 'JOB_UNKNOWN',
  listing: 'LISTING_UNKNOWN',
  provider: 'PROVIDER_NOT_REGISTERED',
  rental: 'RENTAL_UNKNOWN',
} as const satisfies { readonly [Name in AggregateName]?: ErrorCode }

/** Replaces NOT_YOURS by the unknown code of the aggregate when the aggregate does not exist: commands check the owner
 *  first. */
export const unknownIfMissing = async (
  { current }: Commands,
  name: AggregateName,
  id: string,
  refusal: Refusal,
): Promise<Refusal> => {
  const code = (unknownCodes as { readonly [Name in AggregateName]?: ErrorCode })[name]
  if (code === undefined || refusal.refused !== 'NOT_YOURS') return refusal
  return (await current(name, id)).state.status === 'none' ? refuse(code, { [name]: id }) : refusal
}

/** Returns the state of an aggregate as it is in the log, not in a read model: a client may ask for what it has just
 *  created. Throws JOB_UNKNOWN, RENTAL_UNKNOWN, … when it does not exist. */
export const requireState = async <Name extends keyof typeof unknownCodes>(
  { current }: Commands,
  name: Name,
  id: string,
): Promise<Exclude<StateOf<Name>, { readonly status: 'none' }>> => {
  const { state } = await current(name, id)
  if (state.status === 'none') throw new Failure(unknownCodes[name], { [name]: id })
  return state as Exclude<StateOf<Name>, { readonly status: 'none' }>
}
