import { randomBytes } from 'node:crypto'
import { type EmbeddedChain, type EmbeddedOptions, startEmbeddedChain } from '../../infra/chain/embedded.ts'
import type { ChainDescription } from '../../infra/chain/port.ts'

export type ChainProcess = {
  readonly description: ChainDescription
  readonly embedded: EmbeddedChain
  readonly ownerSecret: string
  /** Ends it in order. */
  stop(): Promise<void>
  /** Kills its process with SIGKILL, and does not start it again. */
  kill(): Promise<void>
}

/** Starts the embedded chain on any free port. */
export const startChainProcess = async (
  options: Pick<EmbeddedOptions, 'folder'> & Partial<EmbeddedOptions>,
): Promise<ChainProcess> => {
  const ownerSecret = randomBytes(32).toString('hex')
  const embedded = await startEmbeddedChain({ port: 0, ownerSecret, ...options })
  return {
    description: embedded.description,
    embedded,
    ownerSecret,
    stop: () => embedded.close(),
    kill: () => {
      const pid = embedded.pid()
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      return embedded.close()
    },
  }
}
