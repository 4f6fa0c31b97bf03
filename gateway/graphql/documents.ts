import { hash } from 'node:crypto'
import { type DocumentNode, GraphQLError, Kind, type ParseOptions, parse, type Source } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../../domain/errors.ts'
import { createBoundedMap, registerBound } from '../../infra/async/bounded.ts'
import { limits } from './limits.ts'

/** The length of the longest document, comments included, in UTF-16 code units. Values that are longer travel in
 *  variables. */
export const documentCharactersMax = 20_000

/** How many fields and fragments a document may select, as they stand in it, and how many fields with one name or alias:
 *  each two of these may be compared when it is validated. */
export const selectionsMax = 1_000
export const namesakesMax = 250

/** About what a token of a parsed document takes in memory, and a field besides, with its nodes. */
const tokenBytes = 300
const selectionBytes = 250
const characterBytes = 2

const bound = registerBound({
  name: 'parsed documents',
  holds: 'The GraphQL documents used last and more than once, parsed, each with what its validation found.',
  whenFull: 'evicts the least recently used',
  bytesMax: 32 * 1024 * 1024,
})

const seenBound = registerBound({
  name: 'documents seen once',
  holds: 'Hashes of the GraphQL documents seen last: a document that comes again is kept, parsed.',
  whenFull: 'evicts the oldest',
  entriesMax: 5_000,
})

/** Returns how many fields and fragments a document selects, and how many of its fields have the same name. */
const selectionsOf = ({ definitions }: DocumentNode): { readonly all: number; readonly namesakes: number } => {
  const open = definitions.flatMap((definition) => ('selectionSet' in definition ? [definition.selectionSet] : []))
  const named = new Map<string, number>()
  let [all, namesakes] = [0, 0]
  for (const { selections } of open)
    for (const selection of selections) {
      all += 1
      if ('selectionSet' in selection && selection.selectionSet) open.push(selection.selectionSet)
      if (selection.kind !== Kind.FIELD) continue
      const name = (selection.alias ?? selection.name).value
      const count = (named.get(name) ?? 0) + 1
      named.set(name, count)
      namesakes = Math.max(namesakes, count)
    }
  return { all, namesakes }
}

/** Throws INPUT_INVALID where a document selects too much. */
const checkSelections = (document: DocumentNode): void => {
  const { all, namesakes } = selectionsOf(document)
  if (all > selectionsMax)
    throw new Failure('INPUT_INVALID', { document: `${all} fields and fragments`, takes: `at most ${selectionsMax}` })
  if (namesakes > namesakesMax)
    throw new Failure('INPUT_INVALID', {
      document: `${namesakes} fields with one name`,
      takes: `at most ${namesakesMax}`,
    })
}

/** Refuses a document that is too long before it is parsed, one with too many tokens as it is parsed, and one that selects too much before it is validated or
 *  kept, on each transport. */
export const documentSizePlugin = (): Plugin => ({
  onParse: ({ params: { source }, setParseFn }) => {
    const { length } = typeof source === 'string' ? source : source.body
    if (length > documentCharactersMax)
      throw new Failure('INPUT_INVALID', {
        document: `${length} characters`,
        takes: `at most ${documentCharactersMax}; longer values go into variables`,
      })
    setParseFn(parseWithin)
    return ({ result }) => {
      if (!(result instanceof Error)) checkSelections(result)
    }
  },
})

/** Parses a document with at most `tokensMax` tokens. Throws a GraphQLError with a code, on each transport. */
const parseWithin = (text: string | Source, options?: ParseOptions): DocumentNode => {
  try {
    return parse(text, { ...options, maxTokens: limits.tokensMax })
  } catch (error) {
    if (error instanceof GraphQLError) error.extensions.code ??= 'GRAPHQL_PARSE_FAILED'
    throw error
  }
}

/** Returns about how many bytes a parsed document takes, with its text. */
const weightOf = (text: string, document: DocumentNode): number => {
  let tokens = 0
  for (let token = document.loc?.startToken; token; token = token.next ?? undefined) tokens += 1
  return text.length * characterBytes + tokens * tokenBytes + selectionsOf(document).all * selectionBytes
}

/** Creates the caches of parsed and validated documents, bounded by what they take in memory. A document is kept when
 *  it comes for the second time: each of many different ones would outlive the young generation, and collecting it
 *  would stop the loop. Documents that cannot be parsed are not kept: what is wrong with them is found within the limits
 *  above. */
export const createDocumentCaches = () => {
  const documents = createBoundedMap<DocumentNode>(bound)
  const seen = createBoundedMap<true>(seenBound)
  return {
    documentCache: {
      get: documents.get,
      set: (text: string, document: DocumentNode) => {
        const name = hash('sha256', text, 'base64')
        if (seen.has(name)) documents.set(text, document, weightOf(text, document))
        else seen.set(name, true)
      },
    },
    errorCache: { get: () => undefined, set: () => undefined },
  }
}
