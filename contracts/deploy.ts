import { createPublicClient, createWalletClient, defineChain, getContractAddress, type Hex, type Transport } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { marketplace } from './bindings/marketplace.ts'
import { usdToken } from './bindings/usd-token.ts'

export type Deployment = { readonly token: Hex; readonly marketplace: Hex }

const receiptPollMs = 100

/** Returns the addresses of the contracts of this deployer and these nonces. They are computed, without a request to
 *  the chain. */
export const deploymentOf = (deployer: Hex, firstNonce: bigint): Deployment => ({
  token: getContractAddress({ from: deployer, nonce: firstNonce }),
  marketplace: getContractAddress({ from: deployer, nonce: firstNonce + 1n }),
})

/** Deploys the test dollar and a marketplace that takes it, and resolves when both are on the chain. The addresses
 *  follow from the deployer and `firstNonce`; left out, that is the deployer's next nonce. With it, a contract that an
 *  earlier call has deployed stays, so that an interrupted deployment is completed. Throws what viem throws, and an
 *  Error when the deployer has used a nonce for another transaction. */
export const deployMarketplace = async (options: {
  readonly transport: Transport
  readonly chainId: number
  readonly deployerKey: Hex
  readonly firstNonce?: bigint
  readonly log?: (message: string) => void
}): Promise<Deployment> => {
  const { transport, chainId, deployerKey, log = () => undefined } = options
  const account = privateKeyToAccount(deployerKey)
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [] } },
  })
  const reader = createPublicClient({ chain, transport, pollingInterval: receiptPollMs })
  const wallet = createWalletClient({ chain, transport, account })

  const nextNonce = async () => BigInt(await reader.getTransactionCount({ address: account.address }))
  const firstNonce = options.firstNonce ?? (await nextNonce())
  const deployment = deploymentOf(account.address, firstNonce)

  const deploy = async (name: string, nonce: bigint, address: Hex, send: (nonce: number) => Promise<Hex>) => {
    if (await reader.getCode({ address })) return
    const next = await nextNonce()
    if (next !== nonce) throw new Error(`${account.address} is at nonce ${next}; ${name} needs ${nonce}`)
    const { status } = await reader.waitForTransactionReceipt({ hash: await send(Number(nonce)) })
    if (status !== 'success') throw new Error(`the deployment of ${name} reverted`)
    log(`${name} deployed at ${address}`)
  }
  await deploy('UsdToken', firstNonce, deployment.token, (nonce) => wallet.deployContract({ ...usdToken, nonce }))
  await deploy('Marketplace', firstNonce + 1n, deployment.marketplace, (nonce) =>
    wallet.deployContract({ ...marketplace, args: [deployment.token], nonce }),
  )
  return deployment
}
