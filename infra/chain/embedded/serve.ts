import { custom } from 'viem'
import { type Deployment, deployMarketplace } from '../../../contracts/deploy.ts'
import { deployerKey } from '../dev-keys.ts'
import { serveJsonRpc } from '../json-rpc-server.ts'
import { journalBounds, openJournaledChain } from './journaled.ts'

/** The options of the process of the embedded chain, which it reads from `options.json`. */
export type ServeOptions = {
  /** Holds the journal, `options.json` and `server.json`. One program at a time may use it. */
  readonly folder: string
  readonly port: number
  /** Set after a restart: clients know the port, so no other one will do. */
  readonly exactPort: boolean
  readonly chainId: number
  readonly confirmationBlocks: number
  readonly blockIntervalMs: number
  readonly allowReorganisations: boolean
  readonly origins: readonly string[]
  readonly ownerSecret: string
  /** For tests: a journal that is full sooner. */
  readonly journalLinesMax?: number
}

export type ServedChain = {
  readonly url: string
  readonly id: string
  readonly contracts: Deployment
  close(): Promise<void>
}

/** Starts an EVM chain in this process, with the usual 20 funded development accounts, the test dollar and the
 *  marketplace deployed by the first of them, and JSON-RPC over HTTP for wallets. A restart restores it block for
 *  block. Throws CHAIN_JOURNAL_BROKEN and DATA_FOLDER_VERSION. */
export const serveChain = async (
  options: ServeOptions & { readonly log: (message: string) => void; readonly onBroken: (error: unknown) => void },
): Promise<ServedChain> => {
  const { folder, port, exactPort, chainId, origins, ownerSecret, journalLinesMax, log, ...rest } = options
  const journaled = await openJournaledChain({
    ...rest,
    folder,
    chainId,
    log,
    clock: Date.now,
    bounds: { ...journalBounds, ...(journalLinesMax === undefined ? {} : { lines: journalLinesMax }) },
  })
  try {
    // Before clients can send: the addresses are those of the deployer's first two transactions.
    const contracts = await deployMarketplace({
      transport: custom({ request: ({ method, params }) => journaled.handle(method, params ?? [], 'owner') }),
      chainId,
      deployerKey,
      firstNonce: 0n,
      log,
    })
    const server = await serveJsonRpc({ port, exactPort, origins, ownerSecret, handle: journaled.handle })
    return {
      url: server.url,
      id: journaled.id,
      contracts,
      close: async () => {
        await server.close()
        await journaled.close()
      },
    }
  } catch (error) {
    await journaled.close()
    throw error
  }
}
