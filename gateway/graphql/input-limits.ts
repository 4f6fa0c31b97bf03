// The limit of every text and list that a client sends: shown in the description of its argument or field, and checked
// before a resolver sees the arguments.
import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql'
import type { z } from 'zod'
import { Failure, isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import { idCharactersMax, type Limit, limitOf, limitWords, shortened, textCharactersMax } from '../../domain/limits.ts'

/** Returns the option of an argument or input field that gives it a limit: that of a field of the domain, or one of the
 *  gateway alone. Texts without it take as many characters as a name or an id. */
export const limited = (limit: z.ZodType | Limit): { readonly extensions: { readonly limit: Limit } } => ({
  extensions: { limit: 'def' in limit ? (limitOf(limit as z.ZodType) ?? {}) : (limit as Limit) },
})

type Input = GraphQLArgument | GraphQLInputField

/** Returns the type within lists and marks of what is required. */
const namedTypeOf = (type: GraphQLInputType): GraphQLInputType =>
  type instanceof GraphQLNonNull || type instanceof GraphQLList ? namedTypeOf(type.ofType) : type

const defaults: Readonly<Record<string, Limit>> = {
  ID: { charactersMax: idCharactersMax },
  String: { charactersMax: textCharactersMax },
}

/** Of a list without a limit of its own. */
const listItemsMax = 100

const isList = ({ type }: Input): boolean => String(type).startsWith('[')

const limitOfInput = (input: Input): Limit => ({
  ...(isList(input) ? { itemsMax: listItemsMax } : {}),
  ...defaults[String(namedTypeOf(input.type))],
  ...(input.extensions.limit as Limit | undefined),
})

/** Returns the limit of a text, or of each text in a list. */
export const charactersMaxOf = (input: Input): number | undefined => {
  const isText = defaults[String(namedTypeOf(input.type))] !== undefined
  return isText ? (limitOfInput(input).charactersMax ?? textCharactersMax) : undefined
}

/** Returns how many items a list takes; undefined for what is none. */
export const itemsMaxOf = (input: Input): number | undefined => limitOfInput(input).itemsMax

const describe = (input: Input): void => {
  const { charactersMin, charactersMax, ...ofList } = limitOfInput(input)
  const ofText = { ...(charactersMin && { charactersMin }), ...(charactersMax && { charactersMax }) }
  const each = limitWords(ofText)
  const words = isList(input)
    ? [limitWords(ofList), each && `each with ${each}`].filter(Boolean).join(', ')
    : limitWords(limitOfInput(input))
  if (words !== '') input.description = [input.description, `Takes ${words}.`].filter(Boolean).join(' ')
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** Returns the refusal of the first list or text that is too long. */
const refuseLongText = (input: Input, value: unknown, path: string): Refusal | undefined => {
  if (Array.isArray(value)) {
    const itemsMax = itemsMaxOf(input)
    if (itemsMax !== undefined && value.length > itemsMax)
      return refuse('INPUT_INVALID', { [path]: `${value.length} items`, takes: limitWords({ itemsMax }) })
    for (const [index, item] of value.entries()) {
      const refusal = refuseLongText(input, item, `${path}[${index}]`)
      if (refusal) return refusal
    }
    return undefined
  }
  const type = namedTypeOf(input.type)
  if (type instanceof GraphQLInputObjectType)
    return isObject(value) ? refuseLongTexts(Object.values(type.getFields()), value, `${path}.`) : undefined
  const charactersMax = charactersMaxOf(input)
  if (typeof value !== 'string' || charactersMax === undefined || value.length <= charactersMax) return undefined
  return refuse('INPUT_INVALID', { [path]: shortened(value), takes: limitWords({ charactersMax }) })
}

const refuseLongTexts = (
  inputs: readonly Input[],
  values: Readonly<Record<string, unknown>>,
  prefix = '',
): Refusal | undefined => {
  for (const input of inputs) {
    // All fields of a mutation are in its one argument, which names nothing.
    const path = prefix === '' && input.name === 'input' ? '' : `${prefix}${input.name}`
    const refusal = refuseLongText(input, values[input.name], path.replace(/^\./, ''))
    if (refusal) return refusal
  }
  return undefined
}

type AnyField = GraphQLField<unknown, unknown>

const checkArguments = (field: AnyField, answer: (refusal: Refusal) => unknown): void => {
  const { resolve, subscribe } = field
  const checked = (run: NonNullable<typeof resolve>): NonNullable<typeof resolve> => {
    return (source, given, ...rest) => {
      const refusal = refuseLongTexts(field.args, given)
      return isRefusal(refusal) ? answer(refusal) : run(source, given, ...rest)
    }
  }
  if (subscribe) field.subscribe = checked(subscribe)
  else if (resolve) field.resolve = checked(resolve)
}

const fail = (refusal: Refusal): never => {
  throw new Failure(refusal.refused, refusal.details)
}

/** Describes and checks the limits of all arguments of a schema, and returns it. A mutation answers with a refusal
 *  (INPUT_INVALID); every other field fails with its code. */
export const limitInputs = (schema: GraphQLSchema): GraphQLSchema => {
  for (const type of Object.values(schema.getTypeMap())) {
    if (type instanceof GraphQLInputObjectType) Object.values(type.getFields()).forEach(describe)
    if (!(type instanceof GraphQLObjectType) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields())) {
      field.args.forEach(describe)
      if (field.args.length > 0) checkArguments(field, type === schema.getMutationType() ? (refusal) => refusal : fail)
    }
  }
  return schema
}
