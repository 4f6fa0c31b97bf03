import { describe, expect, test } from '@jest/globals'
import { createLagWatch } from './lag.ts'
import { progressLine, summary } from './report.ts'
import type { Verdict } from './run.ts'

const kills = { appender: 3, trader: 2, worker: 1, projector: 4, tail: 0, connection: 5, backend: 1, postmaster: 1_000 }
const verdict: Verdict = {
  ok: true,
  seed: 7,
  seconds: 100,
  restSeconds: 8.4,
  proveSeconds: 2.6,
  kills,
  restarts: 10,
  nodes: undefined,
  rentals: { rejected: 2, settled: 1_234 },
  events: 50_000,
  streams: 900,
  appends: {
    appends: 10_500,
    acknowledged: 10_000,
    acknowledgedEvents: 49_990,
    repeated: 70,
    refused: 480,
    unknown: { storedBefore: 1, storedByRetry: 2, refusedAtRetry: 3, leftWhole: 4, leftAbsent: 16 },
  },
  proofs: [
    { name: 'one', looked: '5 things', complaints: [] },
    { name: 'another', looked: '6 things', complaints: [] },
  ],
  folder: undefined,
}

test('progress is a line with the time, the figures, the kills and the process that lags', () => {
  const progress = { phase: 'killing', folder: 'f', seconds: 65.9, events: 12_345, kills } as const
  const line =
    '1:05  12,345 events  1016 kills (appender 3, trader 2, worker 1, projector 4, tail 0, connection 5, backend 1, postmaster 1,000)'
  expect(progressLine({ ...progress, lagSeconds: { tail: 0.04, projections: 2 } })).toBe(
    `${line}  lag: tail 0.0 s, projections 2.0 s`,
  )
  expect(progressLine({ ...progress, lagSeconds: undefined })).toBe(`${line}  a server is away`)
  expect(progressLine({ phase: 'proving', events: 20_000 })).toBe('proving: 20,000 events read')
})

describe('the summary', () => {
  test('lists what was done and that all holds', () => {
    const lines = summary(verdict).split('\n')
    expect(lines).toEqual([
      'chaos          1:40 min of kills, then 8 s to finish and 3 s to prove; seed 7',
      expect.stringMatching(/^machine {8}\d+ × .*, \d+ GiB, .*, Node \d.*; PostgreSQL 18 with synced commits$/),
      expect.stringMatching(/^kills {10}1,016: appender 3, .*, postmaster 1,000; 10 processes started again$/),
      'log            50,000 events in 900 streams, 500 events/s; rentals: rejected 2, settled 1,234',
      'appends        10,000 acknowledged (100/s), 49,990 events; 70 of them repetitions; 480 refused',
      'unacknowledged 26 appends: 1 were stored and their retry confirmed it, 2 were stored by the retry, 3 refused at the retry, never asked again 20 (4 whole, 16 absent)',
      'holds   one      5 things',
      'holds   another  6 things',
      'all proofs hold',
    ])
  })

  test('lists what does not hold, where, and what was kept', () => {
    const [, ...rest] = verdict.proofs
    const proofs = [{ name: 'one', looked: '5 things', complaints: ['this is wrong', 'and that'] }, ...rest]
    const lines = summary({ ...verdict, ok: false, appends: undefined, proofs, folder: '/tmp/x' }).split('\n')
    expect(lines.slice(-6)).toEqual([
      'BROKEN  one      5 things',
      '          this is wrong',
      '          and that',
      'holds   another  6 things',
      'kept for inspection: /tmp/x (postgres/, journals/, logs/)',
      'NOT all proofs hold',
    ])
  })
})

test('a lag is the time since the log went beyond', () => {
  const lag = createLagWatch()
  expect(lag.behind('p-0', 1)).toBe(0)
  lag.headWas('p-1', 1)
  lag.headWas('p-1', 2)
  lag.headWas('p-5', 3)
  expect([lag.behind('', 4), lag.behind('p-1', 4), lag.behind('p-4', 5), lag.behind('p-5', 9)]).toEqual([3, 1, 2, 0])
})
