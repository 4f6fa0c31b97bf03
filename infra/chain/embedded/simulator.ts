import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Hex } from 'viem'

/** Executes one JSON-RPC method. Throws an Error with `code`, `message` and `data` as Ethereum nodes answer. */
export type Execute = (method: string, params: readonly unknown[]) => Promise<unknown>

export type Simulator = { readonly execute: Execute; close(): Promise<void> }

/** The newest block; `timestamp` in seconds. */
export type Head = { readonly hash: Hex; readonly number: bigint; readonly timestamp: number }

/** The engine does not see how much native memory the results of the simulator hold, and would leave them to the next
 *  collection until the process is at its limit. Above this size of the process they are collected at once. */
const garbageBytes = 320 * 1024 * 1024

const garbageCollector = (): (() => void) => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** Starts Hardhat's EVM in this process, with nothing on disk. The same calls make the same blocks, hash for hash:
 *  genesis, hard fork and coinbase are fixed, and its random numbers come from fixed seeds. It reads and writes no
 *  config file; `folder` is where Hardhat would look for artifacts, and there are none. */
export const openSimulator = async ({ chainId, folder }: { chainId: number; folder: string }): Promise<Simulator> => {
  // Hardhat's telemetry prompts at a terminal and reports crashes; a platform must do neither.
  process.env.HARDHAT_DISABLE_TELEMETRY = 'true'
  // Imported late: it costs some 100 ms and 40 MB, which a platform on another chain need not pay.
  const { createHardhatRuntimeEnvironment } = await import('hardhat/hre')
  const hardhat = await createHardhatRuntimeEnvironment(
    {
      paths: { artifacts: `${folder}/artifacts`, cache: `${folder}/cache` },
      networks: {
        embedded: {
          type: 'edr-simulated',
          chainType: 'l1',
          chainId,
          hardfork: 'prague',
          initialDate: '2026-01-01T00:00:00Z',
          // Several blocks are mined in one second, and a clock that was set back must not stop the chain.
          allowBlocksWithSameTimestamp: true,
          // A real chain accepts a transaction that will revert, and the receipt shows that it did.
          throwOnTransactionFailures: false,
        },
      },
    },
    {},
    import.meta.dirname,
  )
  const { provider } = await hardhat.network.create({ network: 'embedded' })
  const collectGarbage = garbageCollector()
  return {
    execute: async (method, params) => {
      try {
        return await provider.request({ method, params })
      } finally {
        if (process.memoryUsage.rss() > garbageBytes) collectGarbage()
      }
    },
    close: () => provider.close(),
  }
}

/** Resolves to the newest block. */
export const headOf = async (execute: Execute): Promise<Head> => {
  const block = (await execute('eth_getBlockByNumber', ['latest', false])) as Record<
    'hash' | 'number' | 'timestamp',
    Hex
  >
  return { hash: block.hash, number: BigInt(block.number), timestamp: Number(block.timestamp) }
}
