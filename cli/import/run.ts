import { Failure } from '../../domain/errors.ts'
import type { Client } from '../client.ts'
import { partsOf } from './parts.ts'

type Line = { readonly line: number; readonly listing: string }
type Refused = {
  readonly line: number
  readonly listing: string | null
  readonly namesMachine: boolean
  readonly message: string
  readonly details: readonly { readonly name: string; readonly value: string }[]
}
type Warning = { readonly line: number; readonly warning: string }
type PartAnswer = {
  readonly counts: Counts
  readonly listed: readonly Line[]
  readonly changed: readonly Line[]
  readonly unchanged: readonly Line[]
  readonly refused: readonly Refused[]
  readonly warnings: readonly Warning[]
  readonly matched: readonly string[]
  readonly position: string
}
const counted = ['listed', 'changed', 'unchanged', 'refused', 'warnings', 'withoutGpu'] as const
type Counts = { readonly [Name in (typeof counted)[number]]: number }

/** What became of a file. `refusedLines` and `warningLines` are the first of each. */
export type Imported = Counts & {
  readonly refusedLines: readonly { readonly line: number; readonly reason: string }[]
  readonly warningLines: readonly Warning[]
  /** The number of listings; undefined when the file is not the whole of the offers. */
  readonly withdrawn: number | undefined
  readonly position: string | undefined
}

/** The most lines of each kind that a result lists; the numbers are of all. */
const linesListedMax = 1_000
const keptPerRequest = 500

const lineFields = 'line listing'
const selection = `counts { ${counted.join(' ')} } listed { ${lineFields} } changed { ${lineFields} } unchanged { ${lineFields} }
  refused { ${lineFields} namesMachine message details { name value } } warnings { line warning } matched position`

type Options = {
  readonly whole: boolean
  readonly dryRun: boolean
  readonly signal: AbortSignal
  /** Gets the share of the file that is done, 0 to 1, and the number of lines. */
  readonly onProgress: (done: number, lines: number) => void
}

/** Imports an offer file part by part for the signed-in provider. With `whole`, prices become those of the file, and what
 *  it does not name any more is withdrawn at the end. The same again changes nothing, so it may be run again after it was
 *  cut off. Throws AnswerError, INPUT_INVALID, and OFFERS_NOT_WITHDRAWN where the file may not be whole. */
export const runImport = async (client: Client, text: string, options: Options): Promise<Imported> => {
  const { whole, dryRun, signal, onProgress } = options
  // The header, and every record, are looked at before anything is sent.
  for (const _ of partsOf(text)) signal.throwIfAborted()
  const counts = Object.fromEntries(counted.map((name) => [name, 0])) as { -readonly [Name in keyof Counts]: number }
  const [refused, warnings, matched, kept]: [Refused[], Warning[], string[], string[]] = [[], [], [], []]
  let [position, lines]: [string | undefined, number] = [undefined, 0]
  let unreadable: number | undefined
  for (const { csv, done, firstLine, equalsBefore } of partsOf(text)) {
    signal.throwIfAborted()
    const input = { csv, whole, dryRun, part: { firstLine, equalsBefore, matched } }
    const answer = await client.mutate<PartAnswer>('importOffers', input, selection)
    for (const name of counted) counts[name] += answer.counts[name]
    refused.push(...answer.refused.slice(0, linesListedMax - refused.length))
    warnings.push(...answer.warnings.slice(0, linesListedMax - warnings.length))
    matched.push(...answer.matched)
    for (const { listing } of [answer.listed, answer.changed, answer.unchanged, answer.refused].flat())
      if (listing !== null) kept.push(listing)
    unreadable ??= answer.refused.find(({ namesMachine }) => !namesMachine)?.line
    position = answer.position
    lines += equalsBefore.length
    onProgress(done, lines)
  }
  const found = { refusedLines: refused.map(reasonOf), warningLines: warnings, ...counts }
  if (!whole) return { ...found, withdrawn: undefined, position }
  if (unreadable !== undefined)
    throw new Failure('OFFERS_NOT_WITHDRAWN', {
      line: String(unreadable),
      reason: 'it does not say which machine it is',
    })
  if (kept.length === 0) throw new Failure('OFFERS_NOT_WITHDRAWN', { reason: 'the file has no offer' })
  const gone = await withdrawOthers(client, kept, options)
  return { ...found, withdrawn: gone.withdrawn, position: gone.position ?? position }
}

const reasonOf = ({ line, message, details }: Refused) => {
  const own = ['column', 'problem']
  const told = details.filter(({ name }) => name !== 'line')
  const words = told.map(({ name, value }) => (own.includes(name) ? value : `${name} ${value}`))
  return { line, reason: words.join(' ') || message }
}

type WithdrawAnswer = {
  readonly withdrawn: readonly string[]
  readonly next: string | null
  readonly position: string
}

/** Withdraws the imported listings that are not kept. Both sides are sorted by id, and each request is about a range of
 *  ids. */
const withdrawOthers = async (client: Client, kept: readonly string[], { dryRun, signal }: Options) => {
  const sorted = [...new Set(kept)].sort()
  let withdrawn = 0
  let position: string | undefined
  let range = rangeAbove(sorted, undefined)
  for (;;) {
    signal.throwIfAborted()
    const answer = await client.mutate<WithdrawAnswer>(
      'withdrawOffers',
      { ...range, dryRun },
      'withdrawn next position',
    )
    withdrawn += answer.withdrawn.length
    position = answer.position
    const reached = answer.next ?? range.until
    if (reached === undefined) return { withdrawn, position }
    range = rangeAbove(sorted, reached)
  }
}

type Range = { readonly after: string | undefined; readonly until: string | undefined; readonly keep: string[] }

/** Returns the next range of ids: with as many kept ones as a request takes, and up to the end where those are all. */
const rangeAbove = (sorted: readonly string[], after: string | undefined): Range => {
  const above = after === undefined ? sorted : sorted.filter((id) => id > after)
  const keep = above.slice(0, keptPerRequest)
  return { after, keep, until: above.length > keep.length ? keep.at(-1) : undefined }
}
