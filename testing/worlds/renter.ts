import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { type Client, createClient } from '../../cli/client.ts'
import { signIn } from '../../cli/sign-in.ts'
import { type ChainInfo, deposit, fund } from '../../cli/wallet.ts'
import { eventually } from '../eventually.ts'

export type TestRenter = { readonly client: Client; readonly wallet: string; readonly token: string }

/** Creates a wallet, signs it in at a running platform, and deposits so many units of USDC/6. */
export const createRenter = async (url: string, units: bigint): Promise<TestRenter> => {
  const client = createClient(url)
  const account = privateKeyToAccount(generatePrivateKey())
  const token = await signIn(client, account)
  if (units > 0n) {
    const { chain } = await client.query<{ chain: ChainInfo }>('{ chain { chainId rpcUrl token marketplace } }')
    await fund(chain, account, units)
    await deposit(chain, account, units)
    await eventually('the deposit can be spent', async () => (await availableUnits(client)) === units)
  }
  return { client, wallet: account.address.toLowerCase(), token }
}

/** Resolves to what the signed-in wallet can spend, in units of USDC/6. */
export const availableUnits = async (client: Client): Promise<bigint> => {
  type Answer = { account: { balances: { available: { amount: string } }[] } }
  const { account } = await client.query<Answer>('{ account { balances { available { amount } } } }')
  return BigInt(account.balances[0]?.available.amount ?? 0)
}

/** Lists GPUs as a new provider. Resolves to the listing's id. */
export const createListing = async (url: string, gpuCount: number, pricePerGpuHour: string): Promise<string> => {
  const { client } = await createRenter(url, 0n)
  await client.mutate('registerProvider', { name: 'A test provider' }, 'position')
  const offer = { gpu: 'H100', gpuCount, vramMib: 81_559, vcpus: 32, memoryMib: 65_536, region: 'NO', pricePerGpuHour }
  const { id } = await client.mutate<{ id: string }>(
    'listGpus',
    { ...offer, idempotencyKey: crypto.randomUUID() },
    'id position',
  )
  await client.close()
  return id
}
