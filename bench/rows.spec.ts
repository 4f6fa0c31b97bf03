import { describe, expect, test } from '@jest/globals'
import { figuresOf, type Row } from './rows.ts'
import { markdownTable, terminalTable } from './table.ts'

const rates: Row = {
  bench: 'append',
  callers: 8,
  unit: 'events/s',
  better: 'more',
  ours: [900, 1000, 1200],
  peer: [190, 200, 210],
  limit: [1900, 2000, 2100],
  targets: { peer: 5, limit: 0.45 },
}
const latency: Row = {
  bench: 'tail',
  callers: null,
  unit: 'ms',
  better: 'less',
  ours: [3, 4, 5],
  limit: [2, 2, 2],
  targets: { ours: 5 },
}

describe('the figures of a row', () => {
  test('are medians, ranges, ratios and whether the targets are reached', () =>
    expect(figuresOf(rates)).toEqual({
      bench: 'append',
      callers: 8,
      ours: 1000,
      peer: 200,
      limit: 2000,
      unit: 'events/s',
      ratio_peer: 5,
      ratio_limit: 0.5,
      target_peer: 5,
      target_limit: 0.45,
      target_ours: null,
      reached: true,
      rounds: 3,
      ours_range: [900, 1200],
      peer_range: [190, 210],
      limit_range: [1900, 2100],
    }))

  test('begin with the most common comparison', () =>
    expect(Object.keys(figuresOf(rates)).slice(0, 8)).toEqual([
      ...['bench', 'callers', 'ours', 'peer', 'limit', 'unit', 'ratio_peer', 'ratio_limit'],
    ]))

  test('have a ratio above one where we take less time', () => {
    expect(figuresOf(latency)).toMatchObject({ ours: 4, peer: null, ratio_peer: null, ratio_limit: 0.5, reached: true })
    expect(figuresOf({ ...latency, ours: [1, 1, 1] })).toMatchObject({ ratio_limit: 2 })
  })

  test('are not reached when one of the targets is missed', () => {
    expect(figuresOf({ ...rates, targets: { peer: 5, limit: 0.6 } }).reached).toBe(false)
    expect(figuresOf({ ...rates, targets: { peer: 5.1 } }).reached).toBe(false)
    expect(figuresOf({ ...latency, targets: { ours: 3.9 } }).reached).toBe(false)
  })

  test('judge no target without a measured other side, or without a target', () => {
    const { peer, ...alone } = rates
    expect(figuresOf({ ...alone, targets: { peer: 5 } })).toMatchObject({ target_peer: 5, reached: null })
    expect(figuresOf({ ...rates, targets: {} }).reached).toBeNull()
  })
})

describe('the table', () => {
  const figures = [figuresOf(rates), figuresOf({ ...latency, targets: { ours: 3 } })]

  test('for a terminal stands in columns', () =>
    expect(terminalTable(figures)).toBe(
      [
        'bench   callers               ours           peer                limit  unit      ours : peer   ours : limit  reached',
        'append        8  1,000 (900–1,200)  200 (190–210)  2,000 (1,900–2,100)  events/s     5× (≥ 5)  0.5× (≥ 0.45)  yes',
        'tail                 4 (3–5) (≤ 3)                                   2  ms                              0.5×  NO',
      ].join('\n'),
    ))

  test('for a page is markdown', () =>
    expect(markdownTable(figures).split('\n').slice(1)).toEqual([
      '| --- | --: | --: | --: | --: | --- | --: | --: | --- |',
      '| append | 8 | 1,000 (900–1,200) | 200 (190–210) | 2,000 (1,900–2,100) | events/s | 5× (≥ 5) | 0.5× (≥ 0.45) | yes |',
      '| tail |  | 4 (3–5) (≤ 3) |  | 2 | ms |  | 0.5× | NO |',
    ]))
})
