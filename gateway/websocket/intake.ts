import type { EventEmitter } from 'node:events'
import { createFrames } from './frames.ts'

/** So much of a message is not counted: short ones are few enough. The rest is counted in steps of as much. */
const stepBytes = 16 * 1024
/** About what a piece of a stream takes in memory besides its bytes. */
const pieceBytes = 512

/** Counts what a client has sent of a message that it has not finished, with all that came since, which the parts of the
 *  message keep in memory: against a quota, and against a time.
 *  @param raw the connection below the WebSocket, before its first byte was read.
 *  @param take takes bytes from the quota; undefined when it would be exceeded.
 *  @param isPaused returns whether nothing is read at the moment: then the time begins again.
 *  @param refuse ends the WebSocket. */
export const watchIntake = (
  raw: Pick<EventEmitter, 'prependListener' | 'once'>,
  {
    take,
    isPaused,
    refuse,
    msMax,
  }: {
    readonly take: (bytes: number) => (() => void) | undefined
    readonly isPaused: () => boolean
    readonly refuse: (reason: string) => void
    readonly msMax: number
  },
): void => {
  const follow = createFrames()
  const taken: (() => void)[] = []
  let bytes = 0
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    timer = setTimeout(() => (isPaused() ? wait() : refuse('the message takes too long')), msMax)
  }
  const begin = () => {
    clearTimeout(timer)
    for (const giveBack of taken.splice(0)) giveBack()
    bytes = 0
  }
  // Before the WebSocket reads it, so that what a message held is given back before the message is handled.
  raw.prependListener('data', (piece: Uint8Array) => {
    const unfinished = follow(piece)
    if (unfinished !== 'old') begin()
    if (unfinished === 'nothing') return
    if (unfinished === 'new') wait()
    bytes += piece.length + pieceBytes
    while (bytes > (taken.length + 1) * stepBytes) {
      const giveBack = take(stepBytes)
      if (giveBack === undefined) return refuse('too much is unfinished')
      taken.push(giveBack)
    }
  })
  raw.once('close', begin)
}
