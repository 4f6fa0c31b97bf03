import { describe, expect, test } from '@jest/globals'
import type { Position } from '../../infra/event-store/port.ts'
import { positionsOf } from '../../infra/event-store/position.ts'
import { progressOf } from './progress.ts'

const { start, of, distance } = positionsOf('spec')
const store = { start, distance }
const at = (position: number, { began = 0, head = 1_000, seconds = 2 } = {}) =>
  progressOf(store, of(BigInt(head)), {
    position: of(BigInt(position)),
    beganPosition: of(BigInt(began)) as Position,
    beganAtMs: 5_000,
    atMs: 5_000 + seconds * 1000,
  })

describe('progress', () => {
  test('is the part of the log that is done, at the rate since this process began', () =>
    expect(at(600, { began: 200 })).toEqual({
      position: of(600n),
      percent: 60,
      lag: 400,
      perSecond: 200,
      secondsLeft: 2,
    }))
  test('has no time left while nothing was done', () =>
    expect(at(200, { began: 200, seconds: 0 })).toMatchObject({ percent: 20, perSecond: null, secondsLeft: null }))
  test('is never beyond the end, even if the build is further than the known head', () =>
    expect(at(1_001)).toMatchObject({ percent: 100, lag: 0, secondsLeft: 0 }))
  test('is all of an empty log', () => expect(at(0, { head: 0 })).toMatchObject({ percent: 100, lag: 0 }))
})
