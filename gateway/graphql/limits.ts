import { EnvelopArmorPlugin } from '@escape.tech/graphql-armor'
import { type DocumentNode, GraphQLError, validate, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'

/** The limits of one request, on HTTP and WebSocket alike. A request for all fields of the largest node, for 100 nodes,
 *  fits. */
export const limits = { depthMax: 12, aliasesMax: 20, tokensMax: 2_000, directivesMax: 20, costMax: 60_000 }

/** Refuses requests over the limits before they are executed. */
export const limitsPlugin = (): Plugin =>
  EnvelopArmorPlugin({
    maxDepth: { n: limits.depthMax },
    maxAliases: { n: limits.aliasesMax },
    maxTokens: { n: limits.tokensMax },
    maxDirectives: { n: limits.directivesMax },
    costLimit: { maxCost: limits.costMax },
  })

/** How many errors of one document are found before its validation ends: each costs a comparison with the
 *  names of the schema. */
const validationErrorsMax = 10

/** Ends the validation of a document after a few errors. */
export const validationErrorsPlugin = (): Plugin => ({
  onValidate: ({ setValidationFn }) =>
    setValidationFn((schema, document, rules) => validate(schema, document, rules, { maxErrors: validationErrorsMax })),
})

/** Returns whether PostgreSQL can store the text: neither a NUL nor half a surrogate pair is in it. */
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

const hasUnstorableText = (value: unknown): boolean => {
  if (typeof value === 'string') return !isStorable(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasUnstorableText)
}

const hasUnstorableLiteral = (document: DocumentNode): boolean => {
  let found = false
  visit(document, {
    StringValue: ({ value }) => {
      found ||= !isStorable(value)
    },
  })
  return found
}

const unstorableTextError = () =>
  new GraphQLError('Text must be well-formed and without NUL.', { extensions: { code: 'INPUT_INVALID' } })

/** Refuses a request with text that no database can store, in a literal or in a variable. */
export const storableTextPlugin = (): Plugin => ({
  onValidate: ({ params: { documentAST }, setResult }) => {
    if (hasUnstorableLiteral(documentAST)) setResult([unstorableTextError()])
  },
  onExecute: ({ args, setResultAndStopExecution }) => {
    if (hasUnstorableText(args.variableValues)) setResultAndStopExecution({ errors: [unstorableTextError()] })
  },
  onSubscribe: ({ args, setResultAndStopExecution }) => {
    if (hasUnstorableText(args.variableValues)) setResultAndStopExecution({ errors: [unstorableTextError()] })
  },
})
