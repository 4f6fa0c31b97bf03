import { randomBytes } from 'node:crypto'
import { sleep } from '../../async/sleep.ts'
import { channels } from '../../locks.ts'
import type { Query } from '../../postgres.ts'

/** At most one NOTIFY in this time. */
const announceMsMin = 5
/** How soon a process that listens answers one that asks; a slower one finds events by its poll until then. */
const answerMsMaxDefault = 2_000
/** After this long without a word of the others it is asked again whether there are any. */
const quietMsMax = 60_000

/** Sends a NOTIFY. Its commit takes a lock that all notifying transactions share. So it is never part of an append:
 *  that would divide the rate of appends by four. It is only a hint, so its commit does not wait for the disk. $1
 *  channel, $2 payload. */
const ANNOUNCE = `select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

export type Announcements = {
  /** Announces to the other processes that this one has committed up to a position, where others may be listening. */
  committed(position: bigint): void
  /** Announces that this process listens from now on, and asks the others whether they do. */
  listening(): void
  /** Takes a notification. Returns the position that another process has committed, `unknown` for one without, and
   *  undefined when there is nothing to look for. */
  heard(payload: string): bigint | 'unknown' | undefined
  close(): Promise<void>
}

/** Creates the announcements of one process on a log. A process that listens knows whether others do: each announces it
 *  when it begins, and those that are there answer. While it is alone it announces nothing. One that does not listen itself
 *  cannot know, and announces always. Whatever of this is lost, the poll of the others finds the events. */
export const createAnnouncements = ({
  query,
  answerMsMax = answerMsMaxDefault,
  nowMs = () => performance.now(),
}: {
  readonly query: Query
  readonly answerMsMax?: number
  readonly nowMs?: () => number
}): Announcements => {
  const closing = new AbortController()
  const id = randomBytes(6).toString('hex')
  let sending: Promise<unknown> = Promise.resolve()
  /** When it has last asked, or received anything. */
  let latestMs = 0
  /** When it asked first of what was not answered yet. */
  let unansweredMs: number | undefined
  let listens = false
  let head = 0n
  let announcing: Promise<void> | undefined

  const send = async (payload: string): Promise<void> => {
    const sent = query('eventStore.announce', ANNOUNCE, [channels.logAppended, payload], {
      name: 'event_store_announce',
    })
    const settled = sent.catch(() => undefined)
    sending = sending.then(() => settled)
    await settled
  }

  const ask = (): void => {
    latestMs = nowMs()
    unansweredMs ??= latestMs
    void send(`listening ${id}`)
  }

  /** Asks again after a while, also when it is alone: the answer may have been lost. Until there is one, it stays alone,
   *  so that nothing is announced but the question. */
  const isAlone = (): boolean => {
    if (!listens) return false
    if (nowMs() - latestMs > quietMsMax) ask()
    return unansweredMs !== undefined && nowMs() - unansweredMs > answerMsMax
  }

  const announce = async (): Promise<void> => {
    for (let announced = 0n; announced < head && !isAlone(); ) {
      announced = head
      await send(`${announced} ${id}`)
      await sleep(announceMsMin, closing.signal)
    }
    announcing = undefined
  }

  return {
    committed: (position) => {
      if (position > head) head = position
      if (!isAlone()) announcing ??= announce()
    },
    listening: () => {
      listens = true
      // What others asked before may have been missed.
      unansweredMs = undefined
      ask()
    },
    heard: (payload) => {
      const [word = '', sender] = payload.split(' ')
      if (sender === id) return undefined
      latestMs = nowMs()
      unansweredMs = undefined
      if (word === 'here') return undefined
      // It looks for itself when it begins to listen.
      if (word === 'listening') return void send(`here ${id}`)
      // A process of an older version sends the number alone.
      return /^\d{1,19}$/.test(word) ? BigInt(word) : 'unknown'
    },
    close: async () => {
      closing.abort()
      await Promise.all([announcing, sending])
    },
  }
}
