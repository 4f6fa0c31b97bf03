import { custom } from 'viem'
import { deployMarketplace } from '../../contracts/deploy.ts'
import { deployerKey } from './dev-keys.ts'
import { openJournaledChain } from './embedded/journaled.ts'
import { serveJsonRpc } from './json-rpc-server.ts'
import type { Chain, ChainDescription } from './port.ts'
import { rpcChain } from './rpc.ts'

/** How many blocks must be above a deposit on the embedded chain; it mines as many after each transaction. */
export const embeddedConfirmations = 2

export type EmbeddedChain = {
  readonly description: ChainDescription
  readonly chain: Chain
  readonly rpcUrl: string
  /** Finishes running writes, and closes server and journal. */
  close(): Promise<void>
}

export type EmbeddedOptions = {
  /** Holds the chain's journal. One program at a time may use it. */
  readonly folder: string
  /** The port of the JSON-RPC server on 127.0.0.1. When it is 0 or taken, any free one is used. */
  readonly port: number
  readonly chainId?: number
  /** The time of the blocks, in milliseconds since 1970. */
  readonly clock?: () => number
  readonly log?: (message: string) => void
  /** How many empty blocks follow the block of a transaction, so that it is first observed and then final; and their
   *  distance. */
  readonly confirmationBlocks?: number
  readonly blockIntervalMs?: number
  /** Lets evm_snapshot and evm_revert take blocks back. For tests: any client of the port can then undo deposits. */
  readonly allowReorganisations?: boolean
}

/** Starts an EVM chain in this process, with the usual 20 funded development accounts, the test dollar and the
 *  marketplace deployed by the first of them, and JSON-RPC over HTTP for wallets. A restart restores it block for
 *  block. Throws CHAIN_JOURNAL_BROKEN and DATA_FOLDER_VERSION. */
export const startEmbeddedChain = async (options: EmbeddedOptions): Promise<EmbeddedChain> => {
  const { folder, port, chainId = 31337, clock = Date.now, log = () => undefined } = options
  const { confirmationBlocks = embeddedConfirmations, blockIntervalMs = 500, allowReorganisations = false } = options
  const journaled = await openJournaledChain({
    folder,
    chainId,
    confirmationBlocks,
    blockIntervalMs,
    allowReorganisations,
    clock,
    log,
  })
  try {
    // Before clients can send: the addresses are those of the deployer's first two transactions.
    const contracts = await deployMarketplace({
      transport: custom({ request: ({ method, params }) => journaled.handle(method, params ?? []) }),
      chainId,
      deployerKey,
      firstNonce: 0n,
      log,
    })
    const server = await serveJsonRpc({ port, handle: journaled.handle })
    if (port !== 0 && !server.url.endsWith(`:${port}`)) log(`port ${port} is taken, the chain listens at ${server.url}`)
    const chain = rpcChain({
      rpcUrl: server.url,
      chainId,
      ...contracts,
      asset: 'USDC/6',
      confirmations: embeddedConfirmations,
    })
    return {
      description: chain.description,
      chain,
      rpcUrl: server.url,
      close: async () => {
        await chain.close()
        await server.close()
        await journaled.close()
      },
    }
  } catch (error) {
    await journaled.close()
    throw error
  }
}
