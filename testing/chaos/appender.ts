/** A process of a chaos run that makes random appends, and writes each append and each answer into its journal. */

import { sleep } from '../../infra/async/sleep.ts'
import type { Append, EventStore, ExpectedRevision } from '../../infra/event-store/port.ts'
import { createRandom, type Random } from '../random.ts'
import { type Child, runChild, untilAnswered } from './child.ts'
import { type Begun, openJournal } from './journal.ts'
import { nextAppends, rawEvent } from './raw-load.ts'
import { type Answer, createRecorder, type Recorder } from './recorder.ts'

const callers = 8
const poolSize = 5
const repeatShare = 0.01

type Work = {
  readonly child: Child
  readonly store: EventStore
  readonly recorder: Recorder
  readonly random: Random
  readonly revisions: Map<string, bigint>
}

/** Sends until there is an answer, and keeps the revisions of the streams from it. */
const sendUntilAnswered = async (
  { child, store, recorder, revisions }: Work,
  n: number,
  appends: readonly Append[],
) => {
  const [first] = appends
  if (!first) return
  const answer = await untilAnswered(() =>
    recorder.send(n, async (): Promise<Answer> => {
      if (appends.length > 1) return store.appendToMany(appends)
      const one = await store.append(first)
      return one.outcome === 'appended' ? [one] : one
    }),
  )
  if ('outcome' in answer) {
    if (answer.outcome === 'ids known')
      throw new Error(`the ids of ${answer.stream} were known already: ${answer.problem}`)
    if (answer.outcome !== 'conflict') throw new Error('one answer is given as a list')
    child.count('conflicts')
    if (answer.actual !== undefined) revisions.set(answer.stream, answer.actual)
    return
  }
  for (const [index, { revision, repeated }] of answer.entries()) {
    const stream = appends[index]?.stream ?? ''
    if ((revisions.get(stream) ?? -1n) < revision) revisions.set(stream, revision)
    if (!repeated) child.count('events', appends[index]?.events.length ?? 0)
  }
}

const call = async (work: Work): Promise<void> => {
  const { child, store, random, recorder, revisions } = work
  const { settings, signal } = child
  while (!signal.aborted) {
    const appends = nextAppends({
      random,
      writer: settings.name,
      toMany: store.capabilities.appendToMany,
      revisions,
      newId: () => crypto.randomUUID(),
      nowMs: Date.now(),
    })
    const n = await recorder.begin(appends)
    await sendUntilAnswered(work, n, appends)
    // As a client does that has lost the answer, not the append.
    if (random() < repeatShare) await sendUntilAnswered(work, await recorder.begin(appends), appends)
    const pauseMs = random() * 2 * ((callers * 1_000) / settings.perSecond)
    await sleep(pauseMs, signal)
  }
}

const expectedOf = (text: string): ExpectedRevision => (/^\d+$/.test(text) ? BigInt(text) : (text as ExpectedRevision))

/** Returns the same appends again, as they were. */
const again = ({ parts }: Begun): Append[] =>
  parts.map(({ stream, expected, ids }) => ({ stream, expected: expectedOf(expected), events: ids.map(rawEvent) }))

await runChild(poolSize, async (child) => {
  const { settings } = child
  const { name, life, folder, seed } = settings
  const { journal, carried, firstNumber } = await openJournal({ folder, writer: name, life })
  const store = await child.openStore()
  const recorder = createRecorder(journal, firstNumber)
  const work = { child, store, recorder, random: createRandom(seed), revisions: new Map<string, bigint>() }
  await Promise.all(carried.map((begun) => sendUntilAnswered(work, begun.n, again(begun))))
  await Promise.all(Array.from({ length: callers }, () => call(work)))
  await store.close()
  await journal.close()
})
