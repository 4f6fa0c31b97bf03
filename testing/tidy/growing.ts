// Finds what grows in memory beside infra/async/bounded.ts, as far as the text of a file shows it.
import ts from 'typescript'
import { eachNode, isTest, type Source } from './source-tree.ts'

const within = /^(gateway|commands|projections|infra)\//
/** The file of the constructor. */
const shelf = 'infra/async/bounded.ts'

/** Returns whether a value is made as an empty collection. */
const isEmptyCollection = (node: ts.Expression | undefined): boolean => {
  if (!node) return false
  if (ts.isArrayLiteralExpression(node)) return node.elements.length === 0
  return (
    ts.isNewExpression(node) &&
    ts.isIdentifier(node.expression) &&
    /^(Weak)?(Map|Set)$/.test(node.expression.text) &&
    !node.arguments?.length
  )
}

const isFunction = (node: ts.Node): node is ts.FunctionLikeDeclaration =>
  ts.isArrowFunction(node) || ts.isFunctionExpression(node) || ts.isFunctionDeclaration(node)

/** Returns what a function returns: the expression of a short arrow function, or of each of its own `return`s. */
const returnedBy = (made: ts.FunctionLikeDeclaration): ts.Expression[] => {
  if (!made.body) return []
  if (!ts.isBlock(made.body)) return [made.body]
  const found: ts.Expression[] = []
  const visit = (node: ts.Node) => {
    if (isFunction(node)) return
    if (ts.isReturnStatement(node) && node.expression) found.push(node.expression)
    ts.forEachChild(node, visit)
  }
  ts.forEachChild(made.body, visit)
  return found
}

/** Returns the names of the functions that are declared in a block, so that a returned name can be one of them. */
const functionsIn = (body: ts.Node): ReadonlySet<string> => {
  const names = new Set<string>()
  ts.forEachChild(body, (statement) => {
    if (!ts.isVariableStatement(statement)) return
    for (const { name, initializer } of statement.declarationList.declarations)
      if (ts.isIdentifier(name) && initializer && isFunction(initializer)) names.add(name.text)
  })
  return names
}

/** Returns whether a function returns functions, alone or in an object: what it declares may outlive its call. */
const returnsFunctions = (made: ts.FunctionLikeDeclaration): boolean => {
  const own = made.body ? functionsIn(made.body) : new Set<string>()
  const isOne = (value: ts.Expression): boolean =>
    isFunction(value) ||
    (ts.isIdentifier(value) && own.has(value.text)) ||
    (ts.isObjectLiteralExpression(value) &&
      value.properties.some(
        (property) =>
          ts.isMethodDeclaration(property) ||
          ts.isAccessor(property) ||
          (ts.isShorthandPropertyAssignment(property) && own.has(property.name.text)) ||
          (ts.isPropertyAssignment(property) && isOne(property.initializer)),
      ))
  return returnedBy(made).some(isOne)
}

const growingMethods = /^(set|add|push|unshift)$/

/** Returns whether a function below `scope` puts something into the collection of that name. */
const growsLater = (scope: ts.Node, name: string): boolean => {
  let found = false
  const visit = (node: ts.Node, depth: number) => {
    if (
      depth > 0 &&
      ts.isCallExpression(node) &&
      ts.isPropertyAccessExpression(node.expression) &&
      ts.isIdentifier(node.expression.expression) &&
      node.expression.expression.text === name &&
      growingMethods.test(node.expression.name.text)
    )
      found = true
    ts.forEachChild(node, (child) => visit(child, depth + (isFunction(node) && node !== scope ? 1 : 0)))
  }
  visit(scope, 0)
  return found
}

/** Returns a complaint for each collection that lives longer than a call and grows: declared empty at the top of a file,
 *  or in a function that returns functions, and filled by a function below. */
export const growthComplaints = (sources: readonly Source[]): string[] =>
  sources
    .filter(({ path }) => within.test(path) && path !== shelf && !isTest(path))
    .flatMap(({ path, tree }) => {
      const found = new Set<string>()
      const look = (scope: ts.Node, statements: readonly ts.Node[]) => {
        for (const statement of statements) {
          if (!ts.isVariableStatement(statement)) continue
          for (const { name, initializer } of statement.declarationList.declarations)
            if (ts.isIdentifier(name) && isEmptyCollection(initializer) && growsLater(scope, name.text))
              found.add(`${path} lets ${name.text} grow: createBoundedMap bounds and registers it`)
        }
      }
      look(tree, tree.statements)
      eachNode(tree, (node) => {
        if (isFunction(node) && node.body && ts.isBlock(node.body) && returnsFunctions(node))
          look(node, node.body.statements)
      })
      return [...found]
    })
