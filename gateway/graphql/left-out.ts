import { type ExecutionArgs, GraphQLError, getOperationAST, getVariableValues, OperationTypeNode } from 'graphql'
import { collectFields } from 'graphql/execution/collectFields.js'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../../domain/errors.ts'
import { graphQLErrorOf, withHint } from './mask.ts'

type Operation = Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>

/** Returns why an operation cannot begin once directives have left out fields of its root; undefined where it can. Its
 *  variables have the right types. */
const refusalOf = ({ schema, document, operationName, variableValues }: Operation): GraphQLError | undefined => {
  const operation = getOperationAST(document, operationName)
  const root = operation && schema.getRootType(operation.operation)
  if (!root) return undefined
  const { coerced = {} } = getVariableValues(schema, operation.variableDefinitions ?? [], variableValues ?? {})
  const fragments = Object.fromEntries(
    document.definitions.flatMap((each) => (each.kind === 'FragmentDefinition' ? [[each.name.value, each]] : [])),
  )
  try {
    const { size } = collectFields(schema, fragments, coerced, root, operation.selectionSet)
    if (operation.operation !== OperationTypeNode.SUBSCRIPTION || size === 1) return undefined
    return graphQLErrorOf(
      new Failure('INPUT_INVALID', { subscription: `${size} fields`, takes: 'one field that no directive leaves out' }),
    )
  } catch (error) {
    // A variable of a directive is null, which only its default allows.
    if (error instanceof GraphQLError) return withHint(error)
    throw error
  }
}

/** Refuses an operation whose directives are wrong, and a subscription of which they leave nothing or too much: the
 *  executor would fail at it. */
export const leftOutPlugin = (): Plugin => {
  const check = (args: Operation, stop: (result: { errors: readonly GraphQLError[] }) => void) => {
    const refusal = refusalOf(args)
    if (refusal) stop({ errors: [refusal] })
  }
  return {
    onExecute: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
    onSubscribe: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
  }
}
