import { EnvelopArmorPlugin } from '@escape.tech/graphql-armor'
import { type DocumentNode, GraphQLError, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'

/** What one request may ask for, on HTTP and WebSocket alike. The whole of our largest node, a hundred times, fits. */
export const limits = { depthMax: 12, aliasesMax: 20, tokensMax: 2_000, directivesMax: 20, costMax: 60_000 }

export const limitsPlugin = (): Plugin =>
  EnvelopArmorPlugin({
    maxDepth: { n: limits.depthMax },
    maxAliases: { n: limits.aliasesMax },
    maxTokens: { n: limits.tokensMax },
    maxDirectives: { n: limits.directivesMax },
    costLimit: { maxCost: limits.costMax },
  })

/** PostgreSQL stores neither a NUL nor half a surrogate pair. */
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

const hasUnstorableText = (value: unknown): boolean => {
  if (typeof value === 'string') return !isStorable(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasUnstorableText)
}

const hasUnstorableLiteral = (document: DocumentNode): boolean => {
  let odd = false
  visit(document, {
    StringValue: ({ value }) => {
      odd ||= !isStorable(value)
    },
  })
  return odd
}

const unstorableTextError = () =>
  new GraphQLError('Text must be well-formed and without NUL.', { extensions: { code: 'INPUT_INVALID' } })

/** Turns text away that no database can store, wherever it stands in a request. */
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
