import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'

/** The text of each file of the project by its path from the root. */
export type Files = ReadonlyMap<string, string>

/** One import, re-export or dynamic import: `names` are those of the module imported from, `*` is all of them. */
export type Import = { readonly specifier: string; readonly typesOnly: boolean; readonly names: readonly string[] }

export type Source = {
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
  readonly imports: readonly Import[]
}

const notOurs = new Set(['.git', 'node_modules', '.data', 'artifacts', 'cache', 'coverage'])
/** Folders of installed tools. */
const installed = /\/node_modules$/

const listFolder = (root: string, folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isFile()) return [path]
    return entry.isDirectory() && !notOurs.has(path) && !installed.test(path) ? listFolder(root, path) : []
  })

/** Lists the files with git, which must trust the folder: it need not belong to the user that runs the tests. */
const askGit = (root: string): string[] =>
  execFileSync(
    'git',
    ['-c', `safe.directory=${root}`, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26, stdio: ['ignore', 'pipe', 'ignore'] },
  )
    .split('\0')
    .filter((path) => path !== '' && statSync(join(root, path), { throwIfNoEntry: false })?.isFile())

const listFiles = (root: string): string[] => {
  // A folder above may be a repository of something else.
  if (!existsSync(join(root, '.git'))) return listFolder(root, '')
  try {
    return askGit(root)
  } catch {
    return listFolder(root, '')
  }
}

/** Returns all text files that git tracks or would track; without git, all that no program has generated. */
export const readFiles = (root: string): Files =>
  new Map(
    listFiles(root)
      .map((path) => [path, readFileSync(join(root, path), 'utf8')] as const)
      .filter(([, text]) => !text.includes('\0')),
  )

/** Specs, contract suites, and what only they use. */
export const isTest = (path: string): boolean =>
  /(^|\/)contract(\.ts$|\/)|\.(spec|testing)\.ts$|\.t\.sol$/.test(path) || path.startsWith('testing/')

/** Calls `visit` with the node and all below it. */
export const eachNode = (node: ts.Node, visit: (node: ts.Node) => void): void => {
  visit(node)
  ts.forEachChild(node, (child) => eachNode(child, visit))
}

const originalName = ({ propertyName, name }: ts.ImportSpecifier | ts.ExportSpecifier): string =>
  (propertyName ?? name).text

const importOf = (node: ts.Node): Import | undefined => {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const specifier = node.moduleSpecifier.text
    const { importClause: clause } = node
    const bindings = clause?.namedBindings
    const typesOnly = clause?.isTypeOnly === true
    if (bindings && ts.isNamespaceImport(bindings)) return { specifier, typesOnly, names: ['*'] }
    const elements = bindings?.elements ?? []
    const names = elements.map(originalName)
    const eachIsType = clause !== undefined && !clause.name && elements.every((element) => element.isTypeOnly)
    return { specifier, typesOnly: typesOnly || eachIsType, names }
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
    const { exportClause: clause } = node
    const names = clause && ts.isNamedExports(clause) ? clause.elements.map(originalName) : ['*']
    return { specifier: node.moduleSpecifier.text, typesOnly: node.isTypeOnly, names }
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [first] = node.arguments
    if (first && ts.isStringLiteral(first)) return { specifier: first.text, typesOnly: false, names: ['*'] }
  }
  return undefined
}

/** Parses the files of code among them. */
export const parseSources = (files: Files): readonly Source[] =>
  [...files].flatMap(([path, text]) => {
    if (!/\.(ts|mjs|js)$/.test(path)) return []
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest)
    const imports: Import[] = []
    eachNode(tree, (node) => {
      const found = importOf(node)
      if (found) imports.push(found)
    })
    return [{ path, text, tree, imports }]
  })

/** Returns the path of the file that a relative import means; undefined for a package. */
export const targetOf = (from: string, specifier: string): string | undefined =>
  specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined

/** Returns the package that an import comes from: "@scope/name" for "@scope/name/file.js". */
export const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

export const isExported = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)

/** Returns the names of the values that a statement exports, its own or those of another file, types left out. */
export const exportedValues = (statement: ts.Statement): readonly string[] => {
  if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause))
    return statement.isTypeOnly
      ? []
      : statement.exportClause.elements.filter(({ isTypeOnly }) => !isTypeOnly).map(({ name }) => name.text)
  if (!isExported(statement)) return []
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) => (ts.isIdentifier(name) ? [name.text] : []))
  return (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name
    ? [statement.name.text]
    : []
}

/** Returns the methods of the object type that a statement exports, as `TaskQueue.cancel`. */
export const exportedMethods = (statement: ts.Statement): readonly string[] => {
  if (!ts.isTypeAliasDeclaration(statement) || !isExported(statement)) return []
  const { name: type, type: shape } = statement
  if (!ts.isTypeLiteralNode(shape)) return []
  return shape.members.flatMap((member) =>
    ts.isMethodSignature(member) && ts.isIdentifier(member.name) ? [`${type.text}.${member.name.text}`] : [],
  )
}

/** Returns the names of all members that a file reads: `x.name`, or `{ name }` taken out of an object. Leaves out the
 *  names of methods that the file declares: there the name may mean its own method. */
export const membersRead = ({ tree }: Source): ReadonlySet<string> => {
  const found = new Set<string>()
  const declared = new Set<string>()
  eachNode(tree, (node) => {
    if (ts.isMethodSignature(node) && ts.isIdentifier(node.name)) declared.add(node.name.text)
    if (ts.isPropertyAccessExpression(node)) found.add(node.name.text)
    if (!ts.isObjectBindingPattern(node)) return
    for (const { propertyName, name } of node.elements) {
      const member = propertyName ?? name
      if (ts.isIdentifier(member)) found.add(member.text)
    }
  })
  for (const name of declared) found.delete(name)
  return found
}

const toNumber = /^(Number|parseFloat|parseInt|Number\.parse(Float|Int))$/
const moneyWords = /amount|price|charge|balance|fee\b|money/i

/** Returns what a node calls or reads, as the rules name it: `Date.now`, `new Date()`, `process.env`; `Number(money)`
 *  for a conversion of a value with a name like money. */
export const callOf = (node: ts.Node, tree: ts.SourceFile): string | undefined => {
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression))
    return `${node.expression.text}.${node.name.text}`
  if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && !node.arguments?.length)
    return `new ${node.expression.text}()`
  if (!ts.isCallExpression(node) || !toNumber.test(node.expression.getText(tree))) return undefined
  return node.arguments.some((argument) => moneyWords.test(argument.getText(tree))) ? 'Number(money)' : undefined
}

/** Returns how often each name stands in the code of a file, without comments and texts. */
export const identifierCounts = (tree: ts.SourceFile): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  eachNode(tree, (node) => {
    if (ts.isIdentifier(node)) counts.set(node.text, (counts.get(node.text) ?? 0) + 1)
  })
  return counts
}
