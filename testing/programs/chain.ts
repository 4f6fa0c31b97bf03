import type { EmbeddedOptions } from '../../infra/chain/embedded.ts'
import type { ChainDescription } from '../../infra/chain/port.ts'
import { type Child, runChild } from '../children.ts'

export type ChainProcess = {
  readonly description: ChainDescription
  readonly child: Child
  /** Asks it to close, and waits until it has ended by itself. Resolves to the exit code and what it printed. */
  stop(): Promise<{ code: number | null; output: string }>
  /** Kills the process with SIGKILL. */
  kill(): Promise<void>
}

/** Starts the embedded chain in its own process: Hardhat refuses the objects of a Jest sandbox, and only another
 *  process can be killed. Throws what it printed when it does not start. */
export const startChainProcess = async (
  options: Pick<EmbeddedOptions, 'folder'> & Partial<Omit<EmbeddedOptions, 'clock' | 'log'>>,
): Promise<ChainProcess> => {
  const child = runChild(`
    import { startEmbeddedChain } from ${JSON.stringify(new URL('../../infra/chain/embedded.ts', import.meta.url).href)}
    const chain = await startEmbeddedChain(${JSON.stringify({ port: 0, ...options })})
    process.once('SIGTERM', () => chain.close())
    const parent = process.ppid
    setInterval(() => process.ppid === parent || process.exit(1), 1_000).unref()
    process.stdout.write(JSON.stringify(chain.description) + '\\n')
  `)
  const description: ChainDescription = JSON.parse(await child.firstLine)
  return {
    description,
    child,
    stop: () => {
      child.process.kill('SIGTERM')
      return child.ended
    },
    kill: child.kill,
  }
}
