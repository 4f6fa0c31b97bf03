import { bar } from '../progress.ts'

/** Prints the tour: lines for people, or with `json` one object per line for machines. */
export type Printer = {
  /** Begins a new chapter. */
  chapter(title: string): void
  /** Prints one line; `fields` are for machines alone. */
  text(text: string, fields?: Readonly<Record<string, unknown>>): void
  /** Shows progress: on a terminal it stays on one line. */
  progress(percent: number, text: string): void
  table(rows: readonly Readonly<Record<string, string>>[]): void
}

/** Returns the printer until the signal aborts, and one that prints nothing from then on. */
export const silentAfter = (print: Printer, signal: AbortSignal): Printer => ({
  chapter: (title) => signal.aborted || print.chapter(title),
  text: (text, fields) => signal.aborted || print.text(text, fields),
  progress: (percent, text) => signal.aborted || print.progress(percent, text),
  table: (rows) => signal.aborted || print.table(rows),
})

/** Creates the printer of a tour. */
export const createPrinter = ({
  json,
  terminal,
  write,
}: {
  readonly json: boolean
  readonly terminal: boolean
  readonly write: (text: string) => void
}): Printer => {
  let number = 0
  let open = false
  const line = (text: string) => {
    write(`${open ? '\n' : ''}${text}\n`)
    open = false
  }
  const object = (fields: Readonly<Record<string, unknown>>) => write(`${JSON.stringify(fields)}\n`)
  if (json)
    return {
      chapter: (chapter) => object({ chapter }),
      text: (text, fields = {}) => object({ text, ...fields }),
      progress: (percent, text) => object({ percent, text }),
      table: (rows) => rows.forEach(object),
    }
  return {
    chapter: (title) => {
      number++
      line(`\n${number}. ${title}`)
    },
    text: (text) => line(`   ${text}`),
    progress: (percent, text) => {
      const shown = `   ${bar(percent)}  ${text}`
      if (!terminal) return line(shown)
      write(`\r${shown.padEnd(78)}`)
      open = true
    },
    table: (rows) => {
      const [first] = rows
      if (!first) return
      const columns = Object.keys(first)
      const width = (column: string) => Math.max(column.length, ...rows.map((row) => row[column]?.length ?? 0))
      const show = (cell: (column: string) => string) =>
        line(
          `   ${columns
            .map((column) => cell(column).padEnd(width(column)))
            .join('  ')
            .trimEnd()}`,
        )
      show((column) => column)
      for (const row of rows) show((column) => row[column] ?? '')
    },
  }
}
