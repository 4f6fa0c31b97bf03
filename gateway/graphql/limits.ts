import { EnvelopArmorPlugin } from '@escape.tech/graphql-armor'
import { type DocumentNode, type GraphQLError, validate, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../../domain/errors.ts'
import { isStorable } from '../../domain/text.ts'
import { costOf, type Operation } from './cost.ts'
import { asGraphQLError, graphQLErrorOf, shortError, withHint } from './mask.ts'

/** The limits of one request, on HTTP and WebSocket alike. A request for all fields of the largest node, for 100 nodes,
 *  fits. `fieldsMax` and `answerBytesMax` are compared with an estimate before anything is read; the bytes are counted
 *  again as the answer is made. */
export const limits = {
  depthMax: 12,
  aliasesMax: 20,
  aliasCharactersMax: 100,
  tokensMax: 2_000,
  directivesMax: 20,
  fieldsMax: 60_000,
  answerBytesMax: 8 * 1024 * 1024,
}

/** What is refused so has no code of its own. */
const onReject = [
  (_context: unknown, { extensions }: GraphQLError) => {
    extensions.code = 'GRAPHQL_VALIDATION_FAILED'
  },
]

/** Refuses requests over the limits before they are executed. */
export const limitsPlugin = (): Plugin =>
  EnvelopArmorPlugin({
    maxDepth: { n: limits.depthMax, onReject },
    // It allows any number of __typename by default, though each is a value.
    maxAliases: { n: limits.aliasesMax, allowList: [], onReject },
    // The parser counts them itself: gateway/graphql/documents.ts.
    maxTokens: { enabled: false },
    maxDirectives: { n: limits.directivesMax, onReject },
    // Guests may read the schema, so a suggestion gives nothing away.
    blockFieldSuggestion: { enabled: false },
    // It does not look at `first`: see costPlugin.
    costLimit: { enabled: false },
  })

/** Returns the longest alias of a document, in characters. */
const longestAliasOf = (document: DocumentNode): number => {
  let longest = 0
  visit(document, {
    Field: ({ alias }) => {
      longest = Math.max(longest, alias?.value.length ?? 0)
    },
  })
  return longest
}

type Answer = { bytes: number }

/** Returns why an operation is refused before anything is read; undefined for one within the limits. Counts what the answer
 *  has of the schema itself: nothing counts it as it is made. */
const refusalOf = (operation: Operation, answer: Answer): Failure | undefined => {
  const { aliasCharactersMax, fieldsMax, answerBytesMax } = limits
  const alias = longestAliasOf(operation.document)
  if (alias > aliasCharactersMax)
    return new Failure('INPUT_INVALID', { alias: `${alias} characters`, takes: `at most ${aliasCharactersMax}` })
  const { fields, bytes, schemaBytes } = costOf(operation)
  answer.bytes += schemaBytes
  if (fields <= fieldsMax && bytes <= answerBytesMax) return undefined
  return new Failure('QUERY_TOO_COSTLY', {
    fields: String(Math.round(fields)),
    fieldsMax: String(fieldsMax),
    bytes: String(Math.round(bytes)),
    bytesMax: String(answerBytesMax),
  })
}

/** Refuses an operation whose answer may be too large, before it is executed. */
export const costPlugin = (): Plugin<{ readonly answer: Answer }> => {
  type Args = Operation & { readonly contextValue: { readonly answer: Answer } }
  const check = (args: Args, stop: (result: { errors: GraphQLError[] }) => void) => {
    const refusal = refusalOf(args, args.contextValue.answer)
    if (refusal) stop({ errors: [graphQLErrorOf(refusal)] })
  }
  return {
    onExecute: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
    onSubscribe: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
  }
}

/** How many errors of one document are found before its validation ends: each costs a comparison with the
 *  names of the schema. */
const validationErrorsMax = 10

/** Ends the validation of a document after a few errors, and bounds their texts. */
export const validationErrorsPlugin = (): Plugin => ({
  onValidate: ({ setValidationFn }) =>
    setValidationFn((schema, document, rules) =>
      validate(schema, document, rules, { maxErrors: validationErrorsMax }).map((error) => {
        const shown = shortError(asGraphQLError(error))
        shown.extensions.code ??= 'GRAPHQL_VALIDATION_FAILED'
        return withHint(shown)
      }),
    ),
})

const hasUnstorableLiteral = (document: DocumentNode): boolean => {
  let found = false
  visit(document, {
    StringValue: ({ value }) => {
      found ||= !isStorable(value)
    },
  })
  return found
}

/** Refuses a document with text that no database can store; of variables, variablesPlugin does. */
export const storableTextPlugin = (): Plugin => ({
  onValidate: ({ params: { documentAST }, setResult }) => {
    if (!hasUnstorableLiteral(documentAST)) return
    setResult([graphQLErrorOf(new Failure('INPUT_INVALID', { takes: 'well-formed text without NUL' }))])
  },
})
