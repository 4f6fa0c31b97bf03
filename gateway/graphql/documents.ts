import type { DocumentNode } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../../domain/errors.ts'
import { createBoundedMap, registerBound } from '../../infra/async/bounded.ts'

/** The length of the longest document, comments included, in UTF-16 code units. Values that are longer travel in
 *  variables. */
export const documentCharactersMax = 20_000

/** About what a token of a parsed document takes in memory, with its node. */
const tokenBytes = 300
const characterBytes = 2

const bound = registerBound({
  name: 'parsed documents',
  holds: 'The GraphQL documents used last, parsed, each with what its validation found.',
  whenFull: 'evicts the least recently used',
  bytesMax: 32 * 1024 * 1024,
})

/** Refuses a document over the limit before it is parsed, on each transport. */
export const documentLengthPlugin = (): Plugin => ({
  onParse: ({ params: { source } }) => {
    const { length } = typeof source === 'string' ? source : source.body
    if (length > documentCharactersMax)
      throw new Failure('INPUT_INVALID', {
        document: `${length} characters`,
        takes: `at most ${documentCharactersMax}; longer values go into variables`,
      })
  },
})

/** Returns about how many bytes a parsed document takes, with its text. */
const weightOf = (text: string, { loc }: DocumentNode): number => {
  let tokens = 0
  for (let token = loc?.startToken; token; token = token.next ?? undefined) tokens += 1
  return text.length * characterBytes + tokens * tokenBytes
}

/** Creates the caches of parsed and validated documents, bounded by what they take in memory. Documents that cannot be
 *  parsed are not kept: what is wrong with them is found within the limits above. */
export const createDocumentCaches = () => {
  const documents = createBoundedMap<DocumentNode>(bound)
  return {
    documentCache: {
      get: documents.get,
      set: (text: string, document: DocumentNode) => {
        documents.set(text, document, weightOf(text, document))
      },
    },
    errorCache: { get: () => undefined, set: () => undefined },
  }
}
