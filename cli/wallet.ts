import {
  type Account,
  BaseError,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  parseEther,
} from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { marketplace as marketplaceContract } from '../contracts/bindings/marketplace.ts'
import { usdToken } from '../contracts/bindings/usd-token.ts'
import { Failure } from '../domain/errors.ts'
import { shortText } from '../domain/text.ts'
import { devKeys } from '../infra/chain/dev-keys.ts'

/** The chain as the gateway describes it. */
export type ChainInfo = {
  readonly chainId: number
  readonly rpcUrl: string
  readonly token: Hex
  readonly marketplace: Hex
}

export const embeddedChainId = 31337

/** Funds a new wallet on the embedded chain: a little ether for gas from a development account, and test dollars from
 *  the token's faucet. Throws CHAIN_WITHOUT_FAUCET on any other chain, CHAIN_UNAVAILABLE. */
export const fund = async (chain: ChainInfo, account: Account, amount: bigint): Promise<void> => {
  if (chain.chainId !== embeddedChainId)
    throw new Failure('CHAIN_WITHOUT_FAUCET', { chain: String(chain.chainId), needed: String(embeddedChainId) })
  // The chain signs for its development accounts itself, so it numbers their transactions, also those of parallel
  // callers.
  const { send } = connect(chain, privateKeyToAddress(devKeys[1]))
  await send(account.address, parseEther('1'))
  const { write } = connect(chain, account)
  await write({ address: chain.token, abi: usdToken.abi, functionName: 'drip', args: [account.address, amount] })
}

/** Allows the marketplace to take `amount`, and deposits it. Resolves to the hash of the deposit's transaction. */
export const deposit = async (chain: ChainInfo, account: Account, amount: bigint): Promise<Hex> => {
  const { write } = connect(chain, account)
  await write({ address: chain.token, abi: usdToken.abi, functionName: 'approve', args: [chain.marketplace, amount] })
  return write({ address: chain.marketplace, abi: marketplaceContract.abi, functionName: 'deposit', args: [amount] })
}

/** Resolves to the test dollars in the wallet, and to what it has ever deposited, both in units of USDC/6. */
export const chainMoney = async (
  chain: ChainInfo,
  wallet: Hex,
): Promise<{ readonly inWallet: bigint; readonly deposited: bigint }> => {
  const { reader, ask } = connect(chain, wallet)
  const [inWallet, deposits] = await ask(
    Promise.all([
      reader.readContract({ address: chain.token, abi: usdToken.abi, functionName: 'balanceOf', args: [wallet] }),
      reader.getContractEvents({
        address: chain.marketplace,
        abi: marketplaceContract.abi,
        eventName: 'Deposited',
        args: { payer: wallet },
        fromBlock: 0n,
        strict: true,
      }),
    ]),
  )
  return { inWallet, deposited: deposits.reduce((sum, { args }) => sum + args.amount, 0n) }
}

type Call = {
  readonly address: Hex
  readonly abi: readonly unknown[]
  readonly functionName: string
  readonly args: readonly unknown[]
}

const connect = ({ chainId, rpcUrl }: ChainInfo, account: Account | Hex) => {
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  const transport = http(rpcUrl)
  const wallet = createWalletClient({ account, chain, transport })
  const reader = createPublicClient({ chain, transport, pollingInterval: 50 })
  const mined = async (hash: Hex): Promise<Hex> => {
    const { status } = await reader.waitForTransactionReceipt({ hash })
    if (status !== 'success') throw new Error(`Transaction ${hash} was reverted.`)
    return hash
  }
  const ask = <Answer>(work: Promise<Answer>): Promise<Answer> =>
    work.catch((error: unknown) => {
      if (!(error instanceof BaseError)) throw error
      throw new Failure('CHAIN_UNAVAILABLE', { rpcUrl, reason: shortText(error.shortMessage) }, error)
    })
  return {
    reader,
    ask,
    send: (to: Hex, value: bigint) => ask(wallet.sendTransaction({ to, value }).then(mined)),
    write: (call: Call) =>
      ask(
        reader
          .simulateContract({ account, ...call })
          .then(({ request }) => wallet.writeContract(request))
          .then(mined),
      ),
  }
}
