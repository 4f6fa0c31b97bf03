import { describe, expect, test } from '@jest/globals'
import type { Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { Examiner } from './proof.ts'
import { examineStreams, examineTail, tailLineOf } from './proof-order.ts'
import { rawEvent } from './raw-load.ts'

const event = (number: number, stream: string, revision: bigint): StoredEvent => ({
  ...rawEvent(`0000000${number}-0000-4000-8000-000000000000`),
  stream,
  revision,
  position: `p-${number}` as Position,
})
const log = [event(1, 's', 0n), event(2, 't', 0n), event(3, 's', 1n), event(4, 's', 2n), event(5, 't', 1n)]
const without = (number: number) => log.filter((_, index) => index !== number - 1)

const complaintsOf = async (examiner: Examiner, events: readonly StoredEvent[]): Promise<readonly string[]> => {
  for (const one of events) await examiner.examine(one)
  return (await examiner.end()).complaints
}

describe('streams', () => {
  const complaintsAt = (events: readonly StoredEvent[]) => complaintsOf(examineStreams(), events)

  test('that are whole are not complained about', async () => {
    const examiner = examineStreams()
    expect(await complaintsOf(examiner, log)).toEqual([])
    expect([examiner.events(), examiner.streams()]).toEqual([5, 2])
  })

  test('with a gap are, once', async () =>
    expect(await complaintsAt(without(3))).toEqual(['s has revision 2 at p-4, where 1 comes next']))

  test('that begin later than 0 are', async () =>
    expect(await complaintsAt(without(2))).toEqual(['t has revision 1 at p-5, where 0 comes next']))

  test('with a revision that comes twice are', async () =>
    expect(await complaintsAt([...log, event(6, 's', 2n)])).toEqual(['s has revision 2 at p-6, where 3 comes next']))

  test('whose positions do not rise are', async () => {
    expect(await complaintsAt([...log, event(5, 's', 3n)])).toEqual(['position p-5 comes after p-5'])
    expect(await complaintsAt([...log, event(2, 's', 3n)])).toEqual(['position p-2 comes after p-5'])
  })

  test('a defect that breaks everything is reported by its first twenty', async () => {
    const complaints = await complaintsAt(Array.from({ length: 50 }, () => event(1, 's', 7n)))
    expect(complaints).toHaveLength(21)
    expect(complaints.at(-1)).toMatch(/^and \d+ more like these$/)
  })
})

describe('a tail', () => {
  async function* linesOf(lines: readonly string[]): AsyncGenerator<string> {
    yield* lines
  }
  const lines = log.map(tailLineOf)
  const [one = '', two = '', three = '', four = '', five = ''] = lines
  const complaintsAt = (seen: readonly string[], events = log) =>
    complaintsOf(examineTail('tail', linesOf(seen)), events)

  test('that saw the log is not complained about', async () => expect(await complaintsAt(lines)).toEqual([]))

  test('of an empty log', async () => expect(await complaintsAt([], [])).toEqual([]))

  test('that missed an event, or before which one was put in later', async () =>
    expect(await complaintsAt([one, two, four, five])).toEqual([
      `tail did not see ${three} of s, but ${four} after it: put in below`,
    ]))

  test('that missed the last', async () =>
    expect(await complaintsAt([one, two, three, four])).toEqual([`tail never saw ${five} of t`]))

  test('that saw an event twice, at once or later', async () => {
    expect(await complaintsAt([one, two, two, three, four, five])).toEqual([`tail saw ${two} twice`])
    expect(await complaintsAt([one, two, three, four, two, five])).toEqual([`tail saw ${two} after p-4`])
  })

  test('that saw two in the wrong order', async () =>
    expect(await complaintsAt([one, three, two, four, five])).toEqual([
      `tail did not see ${two} of t, but ${three} after it: put in below`,
      `tail saw ${two} after p-3`,
    ]))

  test('that saw events that are not in the log, in between, instead, and at the end', async () => {
    expect(await complaintsAt(lines, without(3))).toEqual([`tail saw ${three}, and the log has not`])
    expect(await complaintsAt([one, two, 'p-3 other', four, five])).toEqual([
      'tail saw p-3 other, and the log has not',
      `tail did not see ${three} of s, but ${four} after it: put in below`,
    ])
    expect(await complaintsAt([...lines, 'p-6 other', 'p-7 other'])).toEqual([
      'tail saw p-6 other, and the log has not',
      'tail saw p-7 other, and the log has not',
    ])
  })
})
