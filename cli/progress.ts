import { counted as inNumber } from '../domain/text.ts'

/** Shows the progress of a long run. `done` goes from 0 to 1; `count` is the number of events, or of what else the run
 *  counts. */
export type Progress = {
  report(done: number, count: number): void
  /** Ends the line, so that the next output begins on a new one. */
  end(): void
}

export type Estimate = {
  readonly percent: number
  readonly perSecond: number
  readonly secondsLeft: number | undefined
}

const barWidth = 30
const everyMsOnTerminal = 100
const everyMsElsewhere = 2_000

/** Returns a progress bar with its percentage. */
export const bar = (percent: number): string => {
  const full = Math.round((percent / 100) * barWidth)
  return `[${'█'.repeat(full)}${'·'.repeat(barWidth - full)}] ${percent.toFixed(0).padStart(3)} %`
}

/** Returns the estimate since the begin of this run: the part that an earlier run had done has no part in its pace. */
export const estimate = (began: number, done: number, count: number, elapsedMs: number): Estimate => {
  const share = done - began
  const left = share > 0 && elapsedMs > 0 ? (elapsedMs / 1000) * ((1 - done) / share) : undefined
  return {
    percent: Math.floor(done * 100),
    perSecond: elapsedMs > 0 ? Math.round((count / elapsedMs) * 1000) : 0,
    secondsLeft: left === undefined ? undefined : Math.ceil(left),
  }
}

const inWords = (seconds: number | undefined): string => {
  if (seconds === undefined) return ''
  if (seconds < 100) return `, ${seconds} s left`
  return seconds < 6_000 ? `, ${Math.ceil(seconds / 60)} min left` : `, ${Math.ceil(seconds / 3_600)} h left`
}

/** Makes a progress display: a bar on one line of a terminal, plain lines elsewhere, and objects when `object` is
 *  given.
 *  @param now milliseconds of a clock that only goes forward. */
export const createProgress = ({
  terminal,
  write,
  object,
  counted = 'events',
  now = () => performance.now(),
}: {
  readonly terminal: boolean
  readonly write: (text: string) => void
  readonly object?: (fields: Readonly<Record<string, unknown>>) => void
  readonly counted?: string
  readonly now?: () => number
}): Progress => {
  const everyMs = terminal && !object ? everyMsOnTerminal : everyMsElsewhere
  let first: { done: number; at: number } | undefined
  let last = Number.NEGATIVE_INFINITY
  let open = false
  return {
    report: (done, count) => {
      const at = now()
      first ??= { done, at }
      if (done < 1 && at - last < everyMs) return
      last = at
      const { percent, perSecond, secondsLeft } = estimate(first.done, done, count, at - first.at)
      if (object) return object({ progress: done, [counted]: count, perSecond, secondsLeft: secondsLeft ?? null })
      const pace = at > first.at ? `, ${perSecond} a second` : ''
      const line = `${bar(percent)}  ${inNumber(count, counted.replace(/s$/, ''))}${pace}${done < 1 ? inWords(secondsLeft) : ''}`
      write(terminal ? `\r${line.padEnd(90)}` : `${line}\n`)
      open = terminal
    },
    end: () => {
      if (open) write('\n')
      open = false
      first = undefined
      last = Number.NEGATIVE_INFINITY
    },
  }
}
