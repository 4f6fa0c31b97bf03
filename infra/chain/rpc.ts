import { BaseError, BlockNotFoundError, createPublicClient, getAddress, http, RpcRequestError, webSocket } from 'viem'
import { marketplace as marketplaceBinding } from '../../contracts/bindings/marketplace.ts'
import { Failure } from '../../domain/errors.ts'
import type { Asset } from '../../domain/money.ts'
import type { Chain, Deposit } from './port.ts'

const requestMsMax = 10_000
const requestRetriesMax = 2

/** What nodes without a finality tag answer: no such method, or no such parameter. */
const unsupportedCodes: readonly number[] = [-32601, -32602]

export type RpcChainOptions = {
  /** http(s):// or ws(s)://. */
  readonly rpcUrl: string
  readonly chainId: number
  readonly token: `0x${string}`
  readonly marketplace: `0x${string}`
  readonly asset: Asset
  /** How many blocks must be above a block before it counts as final. */
  readonly confirmations: number
  /** The widest range of one request; when a node refuses it, its halves are requested. */
  readonly blocksPerRequestMax?: number
  /** Sent with every request over HTTP. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Makes the chain behind any JSON-RPC address. It connects on the first call, which throws CHAIN_UNAVAILABLE when no
 *  node answers, and CONFIG_INVALID for a wrong chain or contract. */
export const rpcChain = (options: RpcChainOptions): Chain => {
  const { rpcUrl, chainId, asset, confirmations, blocksPerRequestMax = 2_000, headers = {} } = options
  const token = getAddress(options.token)
  const address = getAddress(options.marketplace)
  const settings = { retryCount: requestRetriesMax, timeout: requestMsMax }
  const socket = /^wss?:/.test(rpcUrl) ? webSocket(rpcUrl, settings) : undefined
  // A cached block number would make a new deposit wait.
  const client = createPublicClient({
    transport: socket ?? http(rpcUrl, { ...settings, fetchOptions: { headers } }),
    cacheTime: 0,
  })
  const contract = { address, abi: marketplaceBinding.abi } as const

  /** Sends a request to the node. Each error of the node or the connection becomes one Failure that names the
   *  request. */
  const ask = async <T>(question: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (error instanceof Failure || !(error instanceof BaseError)) throw error
      // The address may hold an access key, so only its host is shown.
      throw new Failure('CHAIN_UNAVAILABLE', { question, host: new URL(rpcUrl).host, why: error.shortMessage }, error)
    }
  }

  let checked: Promise<void> | undefined
  const check = async (): Promise<void> => {
    const actual = await client.getChainId()
    if (actual !== chainId)
      throw new Failure('CONFIG_INVALID', { variable: 'CHAIN_ID', value: String(chainId), chain: String(actual) })
    if (!(await client.getCode({ address })))
      throw new Failure('CONFIG_INVALID', {
        variable: 'MARKETPLACE_ADDRESS',
        value: address,
        why: 'there is no contract',
      })
    const taken = await client.readContract({ ...contract, functionName: 'token' })
    if (taken !== token)
      throw new Failure('CONFIG_INVALID', {
        variable: 'TOKEN_ADDRESS',
        value: token,
        why: `the marketplace takes ${taken}`,
      })
  }
  const checkedOnce = (): Promise<void> => {
    checked ??= check().catch((error: unknown) => {
      checked = undefined
      throw error
    })
    return checked
  }

  /** Resolves to undefined when the chain has no finality tag, and to -1n when it has one and no block is final yet. */
  const finalized = async (): Promise<bigint | undefined> => {
    try {
      return (await client.getBlock({ blockTag: 'finalized' })).number
    } catch (error) {
      if (error instanceof BlockNotFoundError) return -1n
      const answer = rpcErrorIn(error)
      if (answer && unsupportedCodes.includes(answer.code)) return undefined
      throw error
    }
  }

  const depositsIn = async (fromBlock: bigint, toBlock: bigint): Promise<readonly Deposit[]> => {
    try {
      const logs = await client.getContractEvents({
        ...contract,
        eventName: 'Deposited',
        args: { token },
        fromBlock,
        toBlock,
        strict: true,
      })
      return logs
        .filter(({ removed }) => !removed)
        .map(({ args, transactionHash, blockNumber, blockHash }) => ({
          depositId: args.depositId,
          payer: args.payer,
          token: args.token,
          amount: args.amount,
          transactionHash,
          blockNumber,
          blockHash,
        }))
    } catch (error) {
      // Nodes limit ranges and results, each with its own error code: a smaller range shows whether it was the
      // limit.
      if (fromBlock === toBlock || !rpcErrorIn(error)) throw error
      const middle = (fromBlock + toBlock) / 2n
      return [...(await depositsIn(fromBlock, middle)), ...(await depositsIn(middle + 1n, toBlock))]
    }
  }

  return {
    description: { chainId, rpcUrl, token, marketplace: address, asset },
    heights: () =>
      ask('heights', async () => {
        await checkedOnce()
        const head = await client.getBlockNumber()
        const deep = head - BigInt(confirmations)
        const tagged = (await finalized()) ?? deep
        const final = tagged < deep ? tagged : deep
        return { head, final: final < 0n ? -1n : final }
      }),
    deposits: (from, to) =>
      ask('deposits', async () => {
        await checkedOnce()
        const found: Deposit[] = []
        const step = BigInt(blocksPerRequestMax)
        for (let start = from; start <= to; start += step) {
          const last = start + step - 1n
          found.push(...(await depositsIn(start, last < to ? last : to)))
        }
        return found
      }),
    close: async () => {
      // viem keeps one connection per address, and would make one only to have it closed.
      if (socket && checked)
        (
          await socket({})
            .value?.getRpcClient()
            .catch(() => undefined)
        )?.close()
    },
  }
}

/** Returns the error that the node itself has answered; undefined when the node was not reached. */
const rpcErrorIn = (error: unknown): RpcRequestError | undefined => {
  const found = error instanceof BaseError ? error.walk((cause) => cause instanceof RpcRequestError) : undefined
  return found instanceof RpcRequestError ? found : undefined
}
