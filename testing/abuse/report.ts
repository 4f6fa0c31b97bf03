import type { Row } from './run.ts'

const mebibyte = 1024 * 1024
const nameCharacters = 56

/** The line above the rows. */
export const heading = `${'attack'.padEnd(nameCharacters)} ${'seconds'.padStart(8)} ${'memory'.padStart(9)} ${'/health'.padStart(9)}  verdict`

/** Returns a row of the table, and below it a line for each promise that did not hold. */
export const rowLines = ({ name, seconds, rssBytes, healthMs, complaints }: Row): string => {
  const figures = [
    name.padEnd(nameCharacters),
    seconds.toFixed(1).padStart(8),
    `${(rssBytes / mebibyte).toFixed(0)} MiB`.padStart(9),
    (healthMs === null ? 'none' : `${healthMs.toFixed(0)} ms`).padStart(9),
  ]
  const verdict = complaints.length === 0 ? 'held' : 'BROKEN'
  return [`${figures.join(' ')}  ${verdict}`, ...complaints.map((complaint) => `  - ${complaint}`)].join('\n')
}
