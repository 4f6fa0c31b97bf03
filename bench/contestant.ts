// Runs one contestant in its own process: the peer changes how the driver reads values for all code of its process, and
// no contestant shall pay for another's garbage or profit from another's warm code.
import { type ContestantName, contestants } from './contestants.ts'
import type { Outcome } from './task.ts'

export type FromParent = {
  readonly name: ContestantName
  readonly url: string
  readonly parameters: Readonly<Record<string, number | string>>
}
export type FromContestant = { readonly ready: true } | { readonly outcome: Outcome } | { readonly failure: string }

const send = (message: FromContestant): void => {
  process.send?.(message)
}

if (process.send !== undefined) {
  // Ctrl-C reaches all processes of the terminal; the parent ends this one, and when the parent is gone it ends itself.
  process.on('SIGINT', () => undefined)
  process.once('disconnect', () => process.exit())
  process.on('message', async ({ name, url, parameters }: FromParent) => {
    try {
      const { contestant } = await contestants[name]()
      globalThis.gc?.()
      send({ outcome: await contestant({ url, parameters, ready: () => send({ ready: true }) } as never) })
    } catch (error) {
      send({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
}
