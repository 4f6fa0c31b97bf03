import { median, type Samples } from './statistics.ts'

/** One measurement. `better` is whether more or less is better. A limit is what the
 *  engine does without us. */
export type Row = {
  readonly bench: string
  readonly callers: number | null
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly ours: Samples
  readonly peer?: Samples | undefined
  readonly limit?: Samples | undefined
  readonly targets: Targets
}

/** What shall be reached: times the peer, times the limit, or a bound for our own figure. */
export type Targets = { readonly peer?: number; readonly limit?: number; readonly ours?: number }

/** A row as one line of JSON. The ratios are above 1 where ours is better; null where there is nothing to
 *  compare with. `*_range` is the lowest and the highest round. */
export type Figures = {
  readonly bench: string
  readonly callers: number | null
  readonly ours: number
  readonly peer: number | null
  readonly limit: number | null
  readonly unit: string
  readonly ratio_peer: number | null
  readonly ratio_limit: number | null
  readonly target_peer: number | null
  readonly target_limit: number | null
  readonly target_ours: number | null
  readonly reached: boolean | null
  readonly rounds: number
  readonly ours_range: readonly [number, number]
  readonly peer_range: readonly [number, number] | null
  readonly limit_range: readonly [number, number] | null
}

/** Rounds to four digits. The noise allows fewer, but rounder figures would hide what changed. */
const rounded = (value: number): number => Number(value.toPrecision(4))

const rangeOf = (samples: Samples): readonly [number, number] => [
  rounded(Math.min(...samples)),
  rounded(Math.max(...samples)),
]

export const figuresOf = ({ bench, callers, unit, better, ours, peer, limit, targets }: Row): Figures => {
  const own = median(ours)
  const ratio = (other: Samples | undefined): number | null => {
    if (other === undefined) return null
    return rounded(better === 'more' ? own / median(other) : median(other) / own)
  }
  const [toPeer, toLimit] = [ratio(peer), ratio(limit)]
  const verdicts = [
    targets.peer === undefined || toPeer === null ? undefined : toPeer >= targets.peer,
    targets.limit === undefined || toLimit === null ? undefined : toLimit >= targets.limit,
    targets.ours === undefined ? undefined : better === 'more' ? own >= targets.ours : own <= targets.ours,
  ].filter((verdict) => verdict !== undefined)
  return {
    bench,
    callers,
    ours: rounded(own),
    peer: peer === undefined ? null : rounded(median(peer)),
    limit: limit === undefined ? null : rounded(median(limit)),
    unit,
    ratio_peer: toPeer,
    ratio_limit: toLimit,
    target_peer: targets.peer ?? null,
    target_limit: targets.limit ?? null,
    target_ours: targets.ours ?? null,
    reached: verdicts.length === 0 ? null : verdicts.every(Boolean),
    rounds: ours.length,
    ours_range: rangeOf(ours),
    peer_range: peer === undefined ? null : rangeOf(peer),
    limit_range: limit === undefined ? null : rangeOf(limit),
  }
}
