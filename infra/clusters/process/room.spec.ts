import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { scarceIn } from './disk.ts'
import { type Measured, pickNext } from './room.ts'

type Handle = { readonly name: string; readonly startedMs: number | undefined }
const smallBytes = 100
const job = (name: string, bytes: number, rest: Partial<Measured<Handle>> = {}, startedMs?: number) => ({
  ...{ bytes, files: 0, handle: { name, startedMs } },
  ...rest,
})
/** Returns the jobs in the order in which they are ended while there is no room. */
const order = (jobs: readonly Measured<Handle>[], endsAny = true): string[] => {
  const next = pickNext(jobs, { of: 'bytes', least: smallBytes }, endsAny)
  return next
    ? [
        next.handle.name,
        ...order(
          jobs.filter(({ handle }) => handle !== next.handle),
          endsAny,
        ),
      ]
    : []
}

test('first what cannot be measured, then what took too long, then the largest, then those that started last', () => {
  const jobs = [
    job('old', 1, {}, 10),
    job('large', 500, {}, 50),
    job('new', 99, {}, 30),
    job('many files', 300, { trouble: 'it takes too long', cut: true }),
    job('deep', 0, { trouble: 'folders more than 200 deep' }),
    job('larger', 600),
    job('more files', 400, { trouble: 'it takes too long', cut: true }),
    job('middle', 0, {}, 20),
  ]
  const first = ['deep', 'more files', 'many files', 'larger', 'large']
  expect(order(jobs, false)).toEqual(first)
  expect(order(jobs)).toEqual([...first, 'new', 'middle', 'old'])
})

test('no job hides from it by what it takes: each is ended once, as long as there is no room', () =>
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ bytes: fc.nat(1000), trouble: fc.boolean(), cut: fc.boolean(), startedMs: fc.option(fc.nat(50)) }),
        { maxLength: 20 },
      ),
      (drawn) => {
        const jobs = drawn.map(({ bytes, trouble, cut, startedMs }, index) =>
          job(String(index), bytes, trouble ? { trouble: 'x', ...(cut && { cut }) } : {}, startedMs ?? undefined),
        )
        expect(order(jobs).toSorted()).toEqual(jobs.map(({ handle }) => handle.name).toSorted())
      },
    ),
  ))

test('where files are scarce the job with most of them is ended first, however little it wrote', () => {
  const jobs = [job('large', 5000, { files: 3 }), job('many', 0, { files: 900 }), job('more', 10, { files: 1000 })]
  const next = (of: 'bytes' | 'files') => pickNext(jobs, { of, least: 100 }, false)?.handle.name
  expect([next('files'), next('bytes')]).toEqual(['more', 'large'])
})

test('a disk lacks files or bytes where less than the reserve is free, and no files where it has no number of them', () => {
  const room = { freeBytes: 10, reserveBytes: 5, freeFiles: 10, reserveFiles: 5, filesMax: 1 }
  expect(scarceIn(room)).toBeUndefined()
  expect(scarceIn({ ...room, freeFiles: 4 })).toBe('files')
  expect(scarceIn({ ...room, freeBytes: 4, freeFiles: 4 })).toBe('bytes')
  expect(scarceIn({ ...room, freeFiles: Number.POSITIVE_INFINITY, reserveFiles: 0 })).toBeUndefined()
})
