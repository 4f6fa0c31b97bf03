// The rule for patterns: none takes more than linear time, whatever the text.
import { analyse } from 'scslre'
import ts from 'typescript'
import { eachNode, isTest, type Source } from './source-tree.ts'

/** How a pattern can take more than linear time: within one quantifier, between two, or because it begins anew at each
 *  place of the text. */
const reasons = {
  Self: 'a quantifier can match the same text in several ways',
  Trade: 'two quantifiers can match the same text',
  Move: 'it begins again at each character that its quantifier matches',
} as const

/** Returns whether a group that may be repeated without bound has alternatives. They may match the same text in several
 *  ways, which `analyse` does not see. */
const repeatsAlternatives = (source: string): boolean => {
  const groups: { hasAlternatives: boolean }[] = []
  const tokens = source.matchAll(/\\.|\[(?:[^\]\\]|\\.)*\]|\)(?:[*+]|\{\d+,\})|[()|]/gs)
  for (const [token] of tokens) {
    const group = groups.at(-1)
    if (token === '(') groups.push({ hasAlternatives: false })
    else if (token === '|' && group) group.hasAlternatives = true
    else if (token.startsWith(')') && groups.pop()?.hasAlternatives && token.length > 1) return true
  }
  return false
}

/** Returns what is wrong with a pattern; undefined for one that takes linear time. */
export const patternProblem = (pattern: RegExp): string | undefined => {
  if (repeatsAlternatives(pattern.source)) return 'it repeats alternatives'
  const [report] = analyse(pattern, { maxReports: 1 }).reports
  return report && reasons[report.type]
}

/** Returns the pattern of a node: a literal, or a call of RegExp with a text. Undefined for any other node, and
 *  'dynamic' for a pattern that is put together when the program runs. */
const patternOf = (node: ts.Node): RegExp | 'dynamic' | undefined => {
  if (ts.isRegularExpressionLiteral(node)) {
    const end = node.text.lastIndexOf('/')
    return new RegExp(node.text.slice(1, end), node.text.slice(end + 1))
  }
  const isCall = ts.isNewExpression(node) || ts.isCallExpression(node)
  if (!isCall || !ts.isIdentifier(node.expression) || node.expression.text !== 'RegExp') return undefined
  const [source] = node.arguments ?? []
  return source && ts.isStringLiteralLike(source) ? new RegExp(source.text) : 'dynamic'
}

/** Returns a complaint for each pattern of product code that may take more than linear time, or that no reader can
 *  check because it is put together at run time. */
export const patternComplaints = (sources: readonly Source[]): string[] =>
  sources.flatMap(({ path, tree }) => {
    if (isTest(path)) return []
    const complaints: string[] = []
    eachNode(tree, (node) => {
      const pattern = patternOf(node)
      if (pattern === undefined) return
      const problem = pattern === 'dynamic' ? 'it is put together at run time' : patternProblem(pattern)
      if (problem) complaints.push(`${path}: ${node.getText(tree)}: ${problem}`)
    })
    return complaints
  })
