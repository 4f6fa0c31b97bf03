// Rules for comments: what a docstring begins with, and the phrases that have a plainer word.
import ts from 'typescript'
import { eachNode, isExported, isTest, type Source } from './source-tree.ts'

/** The third person of a verb: Returns, Opens, Resolves to. */
const verb = /^[A-Z][a-z]+s\b/

const isFunction = (node: ts.Node | undefined): boolean => {
  if (node === undefined) return false
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isSatisfiesExpression(node))
    return isFunction(node.expression)
  return ts.isArrowFunction(node) || ts.isFunctionExpression(node)
}

/** Returns the name of the function or method that a node declares; undefined for other nodes. */
const functionOf = (node: ts.Node): string | undefined => {
  if (ts.isVariableStatement(node)) {
    const [first] = node.declarationList.declarations
    return first && ts.isIdentifier(first.name) && isFunction(first.initializer) ? first.name.text : undefined
  }
  const isMethod = ts.isMethodSignature(node) || ts.isMethodDeclaration(node)
  if (!isMethod && !ts.isFunctionDeclaration(node) && !(ts.isPropertyAssignment(node) && isFunction(node.initializer)))
    return undefined
  return node.name && ts.isIdentifier(node.name) ? node.name.text : undefined
}

/** Returns the text of the docstring directly above a node, without its frame. */
const docstringOf = (node: ts.Node, text: string): string | undefined => {
  const last = ts.getLeadingCommentRanges(text, node.pos)?.at(-1)
  const comment = last && text.slice(last.pos, last.end)
  return comment?.startsWith('/**') ? comment.slice(3).trimStart() : undefined
}

/** Returns whether exported functions of a file need a docstring: not in tests, benches and generated code. */
const needsDocstrings = (path: string): boolean => !isTest(path) && !/^(contracts|bench)\//.test(path)

/** Returns a complaint for each docstring of a function or method that does not begin with a verb in the third person,
 *  and for each exported function of product code that has no docstring. */
export const docstringComplaints = (sources: readonly Source[]): string[] =>
  sources.flatMap(({ path, text, tree }) => {
    if (!path.endsWith('.ts') || path.startsWith('contracts/bindings/')) return []
    const complaints: string[] = []
    eachNode(tree, (node) => {
      const name = functionOf(node)
      if (name === undefined) return
      const docstring = docstringOf(node, text)
      if (docstring === undefined) {
        if (isExported(node) && needsDocstrings(path)) complaints.push(`${path}: ${name} has no docstring`)
      } else if (!verb.test(docstring))
        complaints.push(`${path}: the docstring of ${name} does not begin with a verb in the third person`)
    })
    return complaints
  })

/** Phrases that a reader may not know, each with what to write instead. */
const bannedPhrases: readonly { readonly phrase: RegExp; readonly instead: string }[] = [
  { phrase: /\b(somebody|anybody|everybody|whoever)\b/i, instead: 'name the client, process or reader' },
  { phrase: /(?<!`|\bas )\bnobody\b(?!`|:)/i, instead: 'name the client, process or reader' },
  { phrase: /\b(for|as) who\b|\bwho only\b/i, instead: 'name the callers: for read-only callers' },
  { phrase: /\bfor ever\b/i, instead: 'never changes, or forever' },
  { phrase: /\bin vain\b/i, instead: 'without success' },
  { phrase: /\b(in|by) turns?\b/i, instead: 'one after another' },
  { phrase: /\blooks? whether\b/i, instead: 'checks whether' },
  { phrase: /\bcomes? to rest\b/i, instead: 'finishes' },
  { phrase: /\bstands? or falls?\b/i, instead: 'all or none' },
  { phrase: /\bstands? in line\b/i, instead: 'waits in the queue' },
  { phrase: /\b(is|are|was|were|be) told\b/i, instead: 'gets or receives' },
  { phrase: /\btells\b/i, instead: 'shows or returns' },
  { phrase: /\bsays\b/i, instead: 'states, shows or returns' },
  { phrase: /\b(hears?|heard)\b/i, instead: 'receives' },
  { phrase: /\bwish(es)?\b/i, instead: 'request' },
  { phrase: /(?<!`)\bwalk(s|ed|ing)?\b(?!`)/i, instead: 'run' },
]

const comment = /^\s*(?:\/\/|\/\*\*|\*(?!\/)).*|\s\/\/ .*/

/** Returns a complaint for each phrase in a comment, or on a page, that has a plainer word. */
export const phraseComplaints = (files: ReadonlyMap<string, string>): string[] =>
  [...files].flatMap(([path, text]) => {
    const isPage = path.endsWith('.md')
    if (!isPage && !/\.(ts|mjs)$/.test(path)) return []
    return text.split('\n').flatMap((line, index) => {
      const words = isPage ? line : (comment.exec(line)?.[0] ?? '')
      return bannedPhrases
        .filter(({ phrase }) => phrase.test(words))
        .map(({ phrase, instead }) => `${path}:${index + 1} "${phrase.exec(words)?.[0]}": ${instead}`)
    })
  })
