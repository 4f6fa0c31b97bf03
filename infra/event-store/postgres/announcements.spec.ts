import { expect, test } from '@jest/globals'
import type { Query } from '../../postgres.ts'
import { type Announcements, createAnnouncements } from './announcements.ts'

/** Creates processes that share a clock and a channel. */
const createChannel = () => {
  const listeners: Announcements[] = []
  const sent: string[] = []
  const heard: unknown[] = []
  let time = 0
  const query = (async (_label: string, _text: string, [, payload]: readonly unknown[]) => {
    sent.push(String(payload).split(' ')[0] ?? '')
    // To its sender as well, as the database does.
    for (const listener of listeners) heard.push(listener.heard(String(payload)))
    return []
  }) as unknown as Query
  const turns = () => new Promise((resolve) => setTimeout(resolve, 20))
  return {
    create: () => createAnnouncements({ query, nowMs: () => time }),
    listen: async (process: Announcements) => {
      listeners.push(process)
      process.listening()
      await turns()
    },
    /** Makes it listen, while what it asks is lost. */
    listenUnheard: (process: Announcements) => void listeners.push(process),
    leave: (process: Announcements) => void listeners.splice(listeners.indexOf(process), 1),
    pass: (ms: number) => {
      time += ms
    },
    /** Resolves to what is sent after a commit. */
    after: async (process: Announcements, position: bigint) => {
      sent.length = 0
      heard.length = 0
      process.committed(position)
      await turns()
      return [...sent]
    },
    heard,
  }
}

test('a process that is alone announces its commits until it can know that it is, and none from then on', async () => {
  const channel = createChannel()
  const one = channel.create()
  expect(await channel.after(one, 1n)).toEqual(['1'])
  channel.pass(60_000)
  expect(await channel.after(one, 2n)).toEqual(['2']) // it does not listen, so it cannot know
  await channel.listen(one)
  expect(await channel.after(one, 3n)).toEqual(['3'])
  expect(channel.heard).toEqual([undefined])
  channel.pass(2_001)
  for (const position of [4n, 5n, 6n]) expect(await channel.after(one, position)).toEqual([])
})

test('a process that comes is told of each commit, and tells of its own', async () => {
  const channel = createChannel()
  const [one, two] = [channel.create(), channel.create()]
  await channel.listen(one)
  channel.pass(2_001)
  expect(await channel.after(one, 1n)).toEqual([])
  await channel.listen(two)
  channel.pass(30_000)
  expect(await channel.after(one, 2n)).toEqual(['2'])
  expect(channel.heard).toEqual([undefined, 2n])
  expect(await channel.after(two, 3n)).toEqual(['3'])
  expect(channel.heard).toEqual([3n, undefined])
})

test('when the others have gone, that is found by asking once a minute', async () => {
  const channel = createChannel()
  const [one, two] = [channel.create(), channel.create()]
  await channel.listen(one)
  await channel.listen(two)
  channel.pass(60_001)
  expect(await channel.after(one, 1n)).toEqual(['listening', 'here', '1'])
  channel.pass(60_001)
  channel.leave(two)
  expect(await channel.after(one, 2n)).toEqual(['listening', '2'])
  channel.pass(2_001)
  expect(await channel.after(one, 3n)).toEqual([])
  await channel.listen(two)
  expect(await channel.after(one, 4n)).toEqual(['4'])
})

test('one that is alone, perhaps because an answer was lost, asks again and announces nothing', async () => {
  const channel = createChannel()
  const [one, two] = [channel.create(), channel.create()]
  await channel.listen(one)
  channel.pass(2_001)
  for (let minute = 1n; minute <= 3n; minute += 1n) {
    expect(await channel.after(one, 3n * minute)).toEqual([])
    channel.pass(60_000)
    // It is alone until another one answers.
    expect(await channel.after(one, 3n * minute + 1n)).toEqual(['listening'])
    channel.pass(1)
    expect(await channel.after(one, 3n * minute + 2n)).toEqual([])
  }
  channel.listenUnheard(two)
  expect(await channel.after(one, 13n)).toEqual([])
  channel.pass(60_000)
  expect(await channel.after(one, 14n)).toEqual(['listening', 'here', '14'])
  expect(await channel.after(one, 15n)).toEqual(['15'])
})

test('a process of an older version sends numbers alone, and is told as well', async () => {
  const channel = createChannel()
  const one = channel.create()
  await channel.listen(one)
  channel.pass(2_001)
  expect(one.heard('12')).toBe(12n)
  expect(await channel.after(one, 13n)).toEqual(['13'])
  for (const strange of ['what', '1'.repeat(20), '-1 x']) expect(one.heard(strange)).toBe('unknown')
})
