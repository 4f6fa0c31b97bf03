import { describe, expect, test } from '@jest/globals'
import { readArguments, readHelp } from './arguments.ts'

const options = { url: { type: 'string' }, json: { type: 'boolean' } } as const
const takes = 'the options that --help lists'

describe('a command line', () => {
  test('is its options and its other words', () =>
    expect(readArguments(options, ['a.csv', '--url', 'x', '--json', '--', '-b'])).toMatchObject({
      values: { url: 'x', json: true },
      positionals: ['a.csv', '-b'],
    }))

  test.each([
    [['--ulr', 'x'], "Unknown option '--ulr'"],
    [['-u'], "Unknown option '-u'"],
    [['--url'], "Option '--url <value>' argument missing"],
    [['--url', '--json'], "Option '--url' argument is ambiguous"],
    [['--json=yes'], "Option '--json' does not take an argument"],
  ])('%j is refused in one sentence', (args, why) =>
    expect(() => readArguments(options, args)).toThrow(
      expect.objectContaining({ code: 'INPUT_INVALID', details: { arguments: why, takes } }),
    ),
  )

  test('of a program without options is empty, or asks for help', () => {
    expect([readHelp('none', []), readHelp('none', ['--help'])]).toEqual([false, true])
    for (const args of [['--port', '8080'], ['--help', 'me'], ['']])
      expect(() => readHelp('none', args)).toThrow(
        expect.objectContaining({ code: 'INPUT_INVALID', details: expect.objectContaining({ takes: 'none' }) }),
      )
  })
})
