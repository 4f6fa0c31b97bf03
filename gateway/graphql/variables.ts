// What the variables of a request may hold, before they are compared with their types: to show what is wrong with one,
// GraphQL writes out all of it.
import { type ExecutionArgs, type GraphQLError, getOperationAST, getVariableValues } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../../domain/errors.ts'
import { shortened } from '../../domain/limits.ts'
import { isStorable } from '../../domain/text.ts'
import { asGraphQLError, graphQLErrorOf, shortError, withHint } from './mask.ts'

/** An offer file in parts has the most: 30,000 numbers and ids. */
export const variableValuesMax = 32_000
export const variableKeysMax = 200
export const variableDepthMax = 20
/** So many values with a wrong type are shown; each costs a text of all that is around it. */
const wrongValuesMax = 5

type Operation = Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>

const tooMany = (count: string, most: number) =>
  new Failure('INPUT_INVALID', { variables: count, takes: `at most ${most}` })

/** Returns why variables are refused, whatever their types; undefined for those within the limits. */
const refusalOf = (variables: unknown): Failure | undefined => {
  const open = [{ value: variables, depth: 0, path: '' }]
  let values = 0
  for (const { value, depth, path } of open) {
    if (typeof value === 'string' && !isStorable(value))
      return new Failure('INPUT_INVALID', {
        [shortened(path)]: shortened(value),
        takes: 'well-formed text without NUL',
      })
    if (typeof value !== 'object' || value === null) continue
    const within = Object.entries(value)
    if (!Array.isArray(value) && within.length > variableKeysMax)
      return tooMany(`${within.length} names in one object`, variableKeysMax)
    values += within.length
    if (values > variableValuesMax) return tooMany(`more than ${variableValuesMax} values`, variableValuesMax)
    if (depth === variableDepthMax)
      return tooMany(`values within more than ${variableDepthMax} others`, variableDepthMax)
    for (const [name, each] of within)
      open.push({ value: each, depth: depth + 1, path: path === '' ? name : `${path}.${name}` })
  }
  return undefined
}

const errorsIn = ({ schema, document, operationName, variableValues }: Operation): readonly GraphQLError[] => {
  const refusal = refusalOf(variableValues)
  if (refusal) return [graphQLErrorOf(refusal)]
  const { variableDefinitions = [] } = getOperationAST(document, operationName) ?? {}
  const { errors = [] } = getVariableValues(schema, variableDefinitions, variableValues ?? {}, {
    maxErrors: wrongValuesMax,
  })
  return errors.map((error) => withHint(shortError(asGraphQLError(error))))
}

/** Refuses variables with too many values, with text that no database can store, or with wrong types. */
export const variablesPlugin = (): Plugin => {
  const check = (args: Operation, stop: (result: { errors: readonly GraphQLError[] }) => void) => {
    const errors = errorsIn(args)
    if (errors.length > 0) stop({ errors })
  }
  return {
    onExecute: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
    onSubscribe: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
  }
}
