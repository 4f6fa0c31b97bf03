import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { benches } from './benches.ts'
import { figuresText, withFigures } from './readme.ts'
import { figuresOf } from './rows.ts'

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8')

describe('the page of the benches', () => {
  test('shows the figures of the last runs, and no others', () => {
    const page = read('README.md')
    expect(withFigures(page, read('figures.jsonl'))).toBe(page)
  })

  test('describes every bench', () => {
    for (const { name } of benches) expect(read('README.md')).toContain(`| \`${name}\` |`)
  })

  test('without a place for figures is an error', () =>
    expect(() => withFigures('', '')).toThrow('no place for figures'))

  test('of a bench that was run again the last figures count, in the place of the first', () => {
    const machine = {
      processor: 'P',
      cores: 2,
      memoryGib: 4,
      syncsPerSecond: 100,
      load: 0.5,
      node: 'v24',
      date: '2026-01-02',
      commit: 'abc',
    }
    const line = (bench: string, ours: number, load: number) =>
      JSON.stringify({
        ...{ bench, callers: null, ours, peer: null, limit: null, unit: 'ms', ratio_peer: null, ratio_limit: null },
        ...{ target_peer: null, target_limit: null, target_ours: null, reached: null, rounds: 1 },
        ...{ ours_range: [ours, ours], peer_range: null, limit_range: null },
        machine: { ...machine, load, server_version: '18', shared_buffers: '128MB', synchronous_commit: 'on' },
      })
    const text = figuresText([line('a', 1, 0.5), line('b', 2, 0.5), line('a', 3, 7), ''].join('\n'))
    expect(text.split('\n').slice(2)).toEqual([
      '| a |  | 3 |  |  | ms |  |  |  |',
      '| b |  | 2 |  |  | ms |  |  |  |',
      '',
      'Measured on 2026-01-02 of abc: a, b. P, 2 cores, 4 GiB, Node v24, PostgreSQL 18 with shared_buffers 128MB and synchronous_commit on. Its disk took 100 writes of 8 KiB with fdatasync per second before the runs, and its load average was 0.5 to 7.',
    ])
  })

  test('names the engine that was measured', () => {
    const figures = { ...figuresOf({ bench: 'c', callers: 1, unit: 'ms', better: 'less', ours: [1], targets: {} }) }
    const machine = {
      processor: 'P',
      cores: 2,
      memoryGib: 4,
      syncsPerSecond: 1,
      load: 1,
      node: 'v24',
      date: '2026-01-02',
      commit: '',
    }
    const line = JSON.stringify({ ...figures, machine: { ...machine, eventstoredb_version: '23.10.6' } })
    expect(figuresText(line)).toContain('Measured on 2026-01-02 of files without a commit: c. P')
    expect(figuresText(line)).toContain('Node v24, EventStoreDB 23.10.6 with its own defaults. Its disk')
  })
})
