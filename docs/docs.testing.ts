// The pages of the documentation, as their specs read them: prose, headings, links, code spans and fenced blocks.
import { posix } from 'node:path'
import { readFiles } from '../testing/tidy/source-tree.ts'

export type Page = { readonly path: string; readonly text: string }
export type Block = { readonly page: string; readonly line: number; readonly language: string; readonly text: string }
export type Found = { readonly page: string; readonly line: number; readonly text: string }

export const root = posix.join(import.meta.dirname, '..')
export const files = readFiles(root)

/** README.md, then docs/rental.md, then the other pages of the root and of docs/ by name: the order in which snippets
 *  are run. */
export const pages: readonly Page[] = ['README.md', 'docs/rental.md', ...[...files.keys()].toSorted()]
  .filter((path, index, all) => /^([A-Z]+|docs\/[\w-]+)\.md$/.test(path) && all.indexOf(path) === index)
  .map((path) => ({ path, text: files.get(path) ?? '' }))

/** Returns the fenced blocks of a page, in order. `line` is that of the opening fence. Throws when a block has no
 *  end. */
export const blocksOf = ({ path, text }: Page): Block[] => {
  const blocks: Block[] = []
  let open: { line: number; language: string; lines: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(\w*)$/.exec(line)
    if (open && fence) {
      blocks.push({ page: path, line: open.line, language: open.language, text: open.lines.join('\n') })
      open = undefined
    } else if (open) open.lines.push(line)
    else if (fence) open = { line: index + 1, language: fence[1] ?? '', lines: [] }
  }
  if (open) throw new Error(`${path}:${open.line}: a block without an end`)
  return blocks
}

/** Returns the lines of a page, those of its blocks empty: lines keep their numbers. */
export const proseOf = (page: Page): string[] => {
  const lines = page.text.split('\n')
  for (const { line, text } of blocksOf(page)) {
    const end = line + text.split('\n').length
    for (let index = line - 1; index <= end; index++) lines[index] = ''
  }
  return lines
}

/** Returns the lines of a page below the heading of that title, up to the next heading; none where there is no such
 *  heading. */
export const sectionOf = (page: Page, title: string): string[] => {
  const lines = proseOf(page)
  const start = lines.findIndex((line) => line.replace(/^#+ /, '') === title && line.startsWith('#')) + 1
  if (start === 0) return []
  const end = lines.findIndex((line, index) => index >= start && line.startsWith('#'))
  return lines.slice(start, end < 0 ? undefined : end)
}

/** Returns the texts between backticks. Rows of a table whose head names `DATA_DIR` are about that folder, and left
 *  out. */
export const spansOf = (page: Page): Found[] => {
  let ofDataFolder = false
  return proseOf(page).flatMap((text, index) => {
    if (!text.startsWith('|')) ofDataFolder = false
    else if (text.includes('in `DATA_DIR`')) ofDataFolder = true
    if (ofDataFolder) return []
    return [...text.matchAll(/`([^`]+)`/g)].map((match) => ({ page: page.path, line: index + 1, text: match[1] ?? '' }))
  })
}

/** Returns the names in the first cells of the table whose head names `DATA_DIR`. */
export const dataFolderNames = (page: Page): string[] => {
  const lines = proseOf(page)
  const head = lines.findIndex((line) => line.startsWith('|') && line.includes('in `DATA_DIR`'))
  const rows = lines.slice(head + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return rows
    .slice(0, end)
    .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''))
}
