import { describe, expect, test } from '@jest/globals'
import { createProgress, estimate } from './progress.ts'

const setUp = (terminal: boolean, json = false) => {
  let at = 0
  const written: string[] = []
  const objects: unknown[] = []
  const progress = createProgress({
    terminal,
    write: (text) => written.push(text),
    ...(json && { object: (fields) => objects.push(fields) }),
    now: () => at,
  })
  const report = (ms: number, done: number, count: number) => {
    at = ms
    progress.report(done, count)
  }
  return { report, end: progress.end, written, objects }
}

describe('progress', () => {
  test('stays on one line of a terminal, ten times a second at most', () => {
    const { report, end, written } = setUp(true)
    report(0, 0, 0)
    report(50, 0.1, 100)
    report(1_000, 0.25, 1_000)
    report(4_000, 1, 4_000)
    end()
    expect(written.map((text) => text.trimEnd())).toEqual([
      '\r[······························]   0 %  0 events',
      '\r[████████······················]  25 %  1000 events, 1000 a second, 3 s left',
      '\r[██████████████████████████████] 100 %  4000 events, 1000 a second',
      '',
    ])
  })

  test('is a line every two seconds elsewhere, and one at the end', () => {
    const { report, written } = setUp(false)
    report(0, 0, 0)
    report(1_999, 0.4, 10)
    report(2_000, 0.5, 10)
    report(2_001, 1, 20)
    expect(written.map((text) => text.slice(33, 38))).toEqual(['  0 %', ' 50 %', '100 %'])
    expect(written.every((text) => text.endsWith('\n'))).toBe(true)
  })

  test('has no rate with the first report, which may be the only one', () => {
    const { report, written } = setUp(false)
    report(5_000, 1, 1)
    expect(written).toEqual(['[██████████████████████████████] 100 %  1 event\n'])
  })

  test('is an object for machines', () => {
    const { report, objects, written } = setUp(true, true)
    report(0, 0.5, 0)
    report(2_000, 0.75, 500)
    expect(objects).toEqual([
      { progress: 0.5, events: 0, perSecond: 0, secondsLeft: null },
      { progress: 0.75, events: 500, perSecond: 250, secondsLeft: 2 },
    ])
    expect(written).toEqual([])
  })

  test('is estimated from the pace of this run alone', () =>
    expect(estimate(0.9, 0.95, 50, 1_000)).toEqual({ percent: 95, perSecond: 50, secondsLeft: 2 }))
})
