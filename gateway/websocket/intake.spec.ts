import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { watchIntake } from './intake.ts'

const msMax = 30_000
const quotaBytes = 1024 * 1024
const uncountedBytes = 16 * 1024

beforeEach(() => {
  jest.useFakeTimers()
})
afterEach(() => {
  jest.useRealTimers()
})

const createWorld = () => {
  const raw = new EventEmitter()
  const refused: string[] = []
  const state = { taken: 0, isPaused: false }
  watchIntake(raw, {
    take: (bytes) => {
      if (state.taken + bytes > quotaBytes) return undefined
      state.taken += bytes
      return () => {
        state.taken -= bytes
      }
    },
    isPaused: () => state.isPaused,
    refuse: (reason) => refused.push(reason),
    msMax,
  })
  return { raw, refused, state }
}

const frame = (first: number, length: number) =>
  Buffer.concat([Buffer.from([first, 0x80 | length, 0, 0, 0, 0]), Buffer.alloc(length)])
const [begins, goesOn, ends, ping, pong] = [0x01, 0x00, 0x80, 0x89, 0x8a]

test('all that came since a message began is counted until it ends, whatever it is', () =>
  fc.assert(
    fc.property(
      fc.array(fc.record({ first: fc.constantFrom(goesOn, ping, pong), length: fc.nat(125) }), { minLength: 1 }),
      fc.integer({ min: 1, max: 400 }),
      (frames, times) => {
        const { raw, refused, state } = createWorld()
        raw.emit('data', frame(begins, 1))
        let came = 0
        for (let round = 0; round < times && refused.length === 0; round += 1) {
          const piece = Buffer.concat(frames.map(({ first, length }) => frame(first, length)))
          came += piece.length
          raw.emit('data', piece)
          if (refused.length === 0) expect(state.taken).toBeGreaterThanOrEqual(came - uncountedBytes)
        }
        expect(came).toBeLessThan(quotaBytes + 2 * uncountedBytes + frames.length * 131)
        raw.emit('data', frame(ends, 1))
        expect(state.taken).toBe(0)
      },
    ),
  ))

test('a piece of one byte counts with what it takes in memory', () => {
  const { raw, refused } = createWorld()
  for (let sent = 0; sent < 4_000; sent += 1) raw.emit('data', sent === 0 ? frame(begins, 1) : Buffer.from([0]))
  expect(refused).toContain('too much is unfinished')
})

test('between messages nothing is counted, for ever', () => {
  const { raw, refused, state } = createWorld()
  for (let sent = 0; sent < 10_000; sent += 1) {
    raw.emit('data', frame(pong, 4))
    jest.advanceTimersByTime(msMax / 2)
  }
  expect([state.taken, refused]).toEqual([0, []])
})

test('a message that is not finished in its time ends the socket, unless nothing is read', () => {
  const { raw, refused, state } = createWorld()
  raw.emit('data', frame(begins, 100))
  state.isPaused = true
  jest.advanceTimersByTime(msMax)
  state.isPaused = false
  for (let at = 0; at < msMax - 1_000; at += 1_000) {
    raw.emit('data', frame(pong, 0))
    jest.advanceTimersByTime(1_000)
  }
  expect(refused).toEqual([])
  jest.advanceTimersByTime(1_000)
  expect(refused).toEqual(['the message takes too long'])
})

test('what a socket has taken is given back when it closes', () => {
  const { raw, refused, state } = createWorld()
  raw.emit('data', frame(begins, 1))
  for (let sent = 0; sent < 100; sent += 1) raw.emit('data', Buffer.alloc(600))
  expect(state.taken).toBeGreaterThan(0)
  raw.emit('close')
  jest.advanceTimersByTime(msMax)
  expect([state.taken, refused]).toEqual([0, []])
})
