import type { Figures } from './rows.ts'

const number = (value: number): string => {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

const withRange = (value: number | null, range: readonly [number, number] | null): string => {
  if (value === null || range === null) return ''
  return range[0] === range[1] ? number(value) : `${number(value)} (${number(range[0])}–${number(range[1])})`
}

const times = (ratio: number | null, target: number | null): string => {
  if (ratio === null) return ''
  return target === null ? `${number(ratio)}×` : `${number(ratio)}× (≥ ${number(target)})`
}

const verdict = ({ reached }: Figures): string => (reached === null ? '' : reached ? 'yes' : 'NO')

const head = ['bench', 'callers', 'ours', 'peer', 'limit', 'unit', 'ours : peer', 'ours : limit', 'reached'] as const
/** Numbers stand at the right. */
const isRight = [false, true, true, true, true, false, true, true, false]

const cellsOf = (figures: Figures): readonly string[] => {
  const { bench, callers, unit, ours, peer, limit, ratio_peer, ratio_limit, target_ours } = figures
  const bound = target_ours === null ? '' : ` (≤ ${number(target_ours)})`
  return [
    bench,
    callers === null ? '' : String(callers),
    `${withRange(ours, figures.ours_range)}${bound}`,
    withRange(peer, figures.peer_range),
    withRange(limit, figures.limit_range),
    unit,
    times(ratio_peer, figures.target_peer),
    times(ratio_limit, figures.target_limit),
    verdict(figures),
  ]
}

/** Returns a table for a terminal: medians, in brackets the lowest and the highest round; then the ratios with their
 *  targets. */
export const terminalTable = (rows: readonly Figures[]): string => {
  const lines = [head, ...rows.map(cellsOf)]
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? '').length)))
  return lines
    .map((cells) =>
      cells
        .map((cell, column) =>
          isRight[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Returns the same table for a page. */
export const markdownTable = (rows: readonly Figures[]): string =>
  [head, isRight.map((right) => (right ? '--:' : '---')), ...rows.map(cellsOf)]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
