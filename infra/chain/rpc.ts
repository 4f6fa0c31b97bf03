import {
  BaseError,
  BlockNotFoundError,
  createPublicClient,
  getAddress,
  type Hex,
  type HttpTransportConfig,
  http,
  type Transport,
  webSocket,
} from 'viem'
import { marketplace as marketplaceBinding } from '../../contracts/bindings/marketplace.ts'
import { usdToken } from '../../contracts/bindings/usd-token.ts'
import { Failure, refuse } from '../../domain/errors.ts'
import type { Asset } from '../../domain/money.ts'
import { shortText } from '../../domain/text.ts'
import { within } from '../async/within.ts'
import { causeOf } from '../system/errors.ts'
import type { Chain, Deposit, DepositsRead } from './port.ts'
import { checkedTransport, disagree, type HeaderCheck } from './rpc/answers.ts'
import { createContractWallets } from './rpc/contract-wallets.ts'
import { endingTransport, fetchWithoutPause } from './rpc/ending.ts'
import { createPartsReader, rpcErrorIn } from './rpc/parts.ts'
import { createProvedBlocks, depositsAmong } from './rpc/proved-blocks.ts'
import { answerBytesMax, fetchSized } from './rpc/sized.ts'

const requestMsMaxDefault = 10_000
const requestRetriesMax = 2
const signatureMsMax = 5_000
/** How long a socket that is being opened may hold up the end. */
const closeMsMax = 1_000
/** The widest range whose blocks are all read and proved. */
const provedBlocksMax = 256n

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
  /** `checked` when left out. */
  readonly headers?: HeaderCheck
  /** The id of an embedded chain. */
  readonly id?: string
  /** The widest range of one request; when a node refuses it, narrower ones are requested. */
  readonly blocksPerRequestMax?: number
  /** How long an answer may take. */
  readonly requestMsMax?: number
  /** Sent with every request over HTTP. */
  readonly httpHeaders?: Readonly<Record<string, string>>
}

/** Makes the chain behind any JSON-RPC address. It connects on the first call, which throws CHAIN_UNAVAILABLE when no
 *  node answers, and CONFIG_INVALID for a wrong chain or contract. */
export const rpcChain = (options: RpcChainOptions): Chain => {
  const {
    rpcUrl,
    chainId,
    asset,
    confirmations,
    blocksPerRequestMax = 2_000,
    httpHeaders = {},
    headers = 'checked',
    requestMsMax = requestMsMaxDefault,
  } = options
  const token = getAddress(options.token)
  const address = getAddress(options.marketplace)
  const settings = { retryCount: requestRetriesMax, timeout: requestMsMax }
  const made = <Inner extends Transport>(transport: Inner): Inner =>
    checkedTransport(endingTransport(transport, new URL(rpcUrl).host, settings), headers)
  const socket = /^wss?:/.test(rpcUrl) ? made(webSocket(rpcUrl, settings)) : undefined
  const overHttpSettings = {
    ...settings,
    maxResponseBodySize: answerBytesMax,
    fetchFn: fetchSized(fetchWithoutPause),
    fetchOptions: { headers: httpHeaders },
  }
  const overHttp = (more: HttpTransportConfig) => made(http(rpcUrl, { ...overHttpSettings, ...more }))
  // A cached block number would make a new deposit wait.
  const client = createPublicClient({
    transport: socket ?? overHttp({}),
    cacheTime: 0,
  })
  // What may be too much is not asked for again before less of it was. A socket asks again by itself.
  const once = { retryCount: 0 }
  const clientOnce = socket ? client : createPublicClient({ transport: overHttp(once) })
  // Requests of the same moment go in one body, which one node answers. A socket leads to one node anyway.
  const [oneBody, oneBodyOnce] = socket
    ? [client, client]
    : [
        createPublicClient({ transport: overHttp({ batch: true }), cacheTime: 0 }),
        createPublicClient({ transport: overHttp({ batch: true, ...once }), cacheTime: 0 }),
      ]
  const contract = { address, abi: marketplaceBinding.abi } as const

  let hasAsked = false
  /** Sends a request to the node. Each error of the node or the connection becomes one Failure that names the
   *  request. */
  const ask = async <T>(question: string, work: () => Promise<T>): Promise<T> => {
    hasAsked = true
    try {
      return await work()
    } catch (error) {
      if (error instanceof Failure || !(error instanceof BaseError)) throw error
      const refused = causeOf(error, Failure)
      if (refused) throw refused
      // The address may hold an access key, so only its host is shown.
      const why = shortText(error.shortMessage)
      throw new Failure('CHAIN_UNAVAILABLE', { question, host: new URL(rpcUrl).host, why }, error)
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

  const signatures = { retryCount: 0, timeout: signatureMsMax }
  const contractWallets = createContractWallets(
    socket ? client : createPublicClient({ transport: overHttp(signatures) }),
  )
  const contractOf = { chainId, marketplace: address, token }
  const provedBlocks = createProvedBlocks(client, contractOf, headers)

  const logsIn = async (
    asked: Pick<typeof client, 'getContractEvents'>,
    range: { readonly fromBlock: bigint; readonly toBlock: bigint; readonly payer?: Hex | undefined },
  ): Promise<readonly Deposit[]> => {
    const { payer, ...blocks } = range
    const args = { token, ...(payer === undefined ? {} : { payer }) }
    const event = { ...contract, eventName: 'Deposited', args, strict: true } as const
    return depositsAmong(contractOf, await asked.getContractEvents({ ...event, ...blocks }))
  }

  const readInParts = createPartsReader(BigInt(blocksPerRequestMax))

  const depositsIn = (from: bigint, to: bigint, payer?: Hex): Promise<readonly Deposit[]> =>
    readInParts(from, to, (fromBlock, toBlock, hasty) =>
      logsIn(hasty ? clientOnce : client, { fromBlock, toBlock, payer }),
    )

  /** Reads logs and the last block of each part in one body, which one node answers. */
  const depositsUpTo = (from: bigint, to: bigint): Promise<readonly Deposit[]> =>
    readInParts(from, to, async (fromBlock, toBlock, hasty) => {
      const asked = hasty ? oneBodyOnce : oneBody
      const [last, deposits] = await Promise.all([
        asked.getBlock({ blockNumber: toBlock }),
        logsIn(asked, { fromBlock, toBlock }),
      ])
      const atEnd = deposits.filter(({ blockNumber }) => blockNumber === toBlock)
      if (atEnd.some(({ blockHash }) => blockHash !== last.hash)) throw disagree('a log is of another block')
      return deposits
    })

  const hashAt = async (blockNumber: bigint): Promise<Hex | undefined> => {
    try {
      return (await client.getBlock({ blockNumber })).hash
    } catch (error) {
      if (error instanceof BlockNotFoundError) return undefined
      throw error
    }
  }

  /** Reads a range that is too wide to be proved, up to its last final block. */
  const readWide = async (from: bigint, to: bigint, after: Hex | undefined): Promise<DepositsRead> => {
    const before = await hashAt(to)
    if (before === undefined) throw disagree('the last block is missing', { block: String(to) })
    if (after !== undefined && (await hashAt(from - 1n)) !== after)
      throw disagree('the blocks do not follow the last final one', { block: String(from), after })
    const deposits = await depositsUpTo(from, to)
    if (deposits.some(({ blockNumber }) => blockNumber < from || blockNumber > to))
      throw disagree('a log is of another range')
    if ((await hashAt(to)) !== before) throw disagree('the last block has changed', { block: String(to) })
    return { deposits, to, hashes: new Map([[to, before]]), proved: false }
  }

  return {
    description: { chainId, rpcUrl, token, marketplace: address, asset },
    id: options.id,
    heights: () =>
      ask('heights', async () => {
        await checkedOnce()
        const head = await client.getBlockNumber()
        const deep = head - BigInt(confirmations)
        const tagged = (await finalized()) ?? deep
        const final = tagged < deep ? tagged : deep
        return { head, final: final < 0n ? -1n : final }
      }),
    readDeposits: ({ from, to, final, after }) =>
      ask('deposits', async () => {
        await checkedOnce()
        if (to - from >= provedBlocksMax) return readWide(from, final >= from && final < to ? final : to, after)
        const blocks = await provedBlocks(from, to, after)
        const hashes = new Map(blocks.map(({ number, hash }) => [number, hash]))
        return { deposits: blocks.flatMap(({ deposits }) => deposits), to, hashes, proved: true }
      }),
    deposits: (from, to, payer) =>
      ask('deposits', async () => {
        await checkedOnce()
        return depositsIn(from, to, payer)
      }),
    blockHash: (height) =>
      ask('block', async () => {
        await checkedOnce()
        return hashAt(height)
      }),
    custody: (blockNumber) =>
      ask('custody', async () => {
        await checkedOnce()
        try {
          const owned = { address: token, abi: usdToken.abi, functionName: 'balanceOf', args: [address] } as const
          return await client.readContract({ ...owned, blockNumber })
        } catch (error) {
          // Nodes keep the state of the newest blocks alone.
          if (rpcErrorIn(error)) return undefined
          throw error
        }
      }),
    hasSigned: (wallet, hash, signature, address) =>
      ask('signature', async () => {
        await checkedOnce()
        return (await contractWallets(wallet, hash, signature, address)) ?? refuse('SIGN_IN_BUSY')
      }),
    close: async () => {
      // viem keeps one connection per address, and would make one only to have it closed.
      if (!socket || !hasAsked) return
      const connection = socket({}).value?.getRpcClient()
      const kept = connection?.catch(() => undefined) ?? Promise.resolve(undefined)
      const connected = await within(kept, closeMsMax, () => undefined)
      connected?.close()
    },
  }
}
