import { describe, expect, test } from '@jest/globals'
import { readOptions } from './options.ts'

const known = ['append', 'load', 'tail']

describe('the command line of the benches', () => {
  test('names benches, which run in their own order', () => {
    expect(readOptions(['tail', 'append'], known).names).toEqual(['append', 'tail'])
    expect(readOptions(['all'], known).names).toEqual(known)
    expect(readOptions([], known).names).toEqual([])
  })

  test('measures in five rounds with the peer, by default', () => {
    expect(readOptions(['load'], known)).toEqual({
      names: ['load'],
      rounds: 5,
      events: undefined,
      json: false,
      quick: false,
      peer: true,
      help: false,
      eventstore: undefined,
    })
    expect(readOptions(['load', '--rounds', '7', '--events', '1000', '--json', '--without-peer'], known)).toMatchObject(
      {
        rounds: 7,
        events: 1000,
        json: true,
        peer: false,
      },
    )
  })

  test('a quick run has one round and no peer', () =>
    expect(readOptions(['load', '--quick'], known)).toMatchObject({ rounds: 1, quick: true, peer: false }))

  test.each([
    [['loda'], 'bench: loda, takes: append, load, tail, or all'],
    [['load', '--rounds', '0'], 'rounds: 0, takes: a whole number above zero'],
    [['load', '--events', '1e3'], 'events: 1e3, takes: a whole number above zero'],
    [['load', '--fast'], "Unknown option '--fast'"],
  ])('%j is refused', (args, why) => expect(() => readOptions(args, known)).toThrow(why))
})
