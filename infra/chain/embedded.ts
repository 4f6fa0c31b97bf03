import { custom } from 'viem'
import { deployMarketplace } from '../../contracts/deploy.ts'
import { deployerKey } from './dev-keys.ts'
import { openJournaledChain } from './embedded/journaled.ts'
import { serveJsonRpc } from './json-rpc-server.ts'
import type { Chain, ChainDescription } from './port.ts'
import { rpcChain } from './rpc.ts'

/** How many blocks must lie above a deposit on the embedded chain; it mines as many after each transaction. */
export const embeddedConfirmations = 2

export type EmbeddedChain = {
  readonly description: ChainDescription
  readonly chain: Chain
  readonly rpcUrl: string
  /** Finishes what is being written, and leaves nothing open. */
  close(): Promise<void>
}

export type EmbeddedOptions = {
  /** Where the chain's journal lies. One program at a time. */
  readonly folder: string
  /** Of the JSON-RPC server on 127.0.0.1. 0 takes any free one, as does one that is taken. */
  readonly port: number
  readonly chainId?: number
  /** Milliseconds since 1970: the time of the blocks. */
  readonly clock?: () => number
  readonly log?: (message: string) => void
  /** Empty blocks after each transaction's, so that it is first observed and then final, and the time between them. */
  readonly confirmationBlocks?: number
  readonly blockIntervalMs?: number
  /** Lets evm_snapshot and evm_revert take blocks back. For tests: whoever can reach the port can undo deposits. */
  readonly allowReorganisations?: boolean
}

/** Starts an EVM chain in this process: the usual 20 funded development accounts, the test dollar and the marketplace
 *  deployed by the first of them, JSON-RPC over HTTP for wallets. All of it is there again after a restart, block for block.
 *  Throws CHAIN_JOURNAL_BROKEN and DATA_FOLDER_VERSION. */
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
    // Before anybody else can send: the addresses depend on being the deployer's first two transactions.
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
