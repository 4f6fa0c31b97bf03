// Leaves offers and a renter with money on the embedded chain, to look at and to try things with: npm run seed
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { Failure } from '../domain/errors.ts'
import { counted, withoutTrailing } from '../domain/text.ts'
import { devKeys } from '../infra/chain/dev-keys.ts'
import { type Client, createClient } from './client.ts'
import { importOffers } from './offers.ts'
import { signIn } from './sign-in.ts'
import { refuseFiles, runTool } from './tool.ts'
import { until } from './until.ts'
import { type ChainInfo, chainMoney, deposit, embeddedChainId, fund } from './wallet.ts'

const usage = `npm run seed -- [--url URL] [--json]
  Lists the offers of cli/tour/offers.csv and gives a renter 100 test dollars. Running it again adds only what is missing.
  --url URL  a running platform on the embedded chain; http://127.0.0.1:PORT when left out, with PORT 4000 unless set
  --json     the result as one JSON object (npm run -s adds no lines of npm)`

/** The provider is that of the tour, so that its offers are listed once. */
const provider = privateKeyToAccount(devKeys[2])
const providerName = 'Northern Lights Compute'
const renter = privateKeyToAccount(devKeys[3])
/** In units of USDC/6. A renter who has spent some of it gets nothing more until less than the minimum is left. */
const [depositUnits, unitsMin] = [100_000_000n, 25_000_000n]

type Money = { readonly amount: string; readonly decimal: string }
type Seeded = {
  readonly url: string
  readonly provider: string
  readonly listed: number
  readonly unchanged: number
  readonly renter: string
  /** USDC that the renter can spend. */
  readonly available: string
  readonly deposited: boolean
  readonly listing: Listing
  readonly headers: { readonly Authorization: string }
}

type Listing = { readonly id: string; readonly pricePerGpuHour: Money }

const seed = async (url: string): Promise<Seeded> => {
  const client = createClient(url)
  try {
    const { chain } = await client.query<{ chain: ChainInfo }>('{ chain { chainId rpcUrl token marketplace } }')
    if (chain.chainId !== embeddedChainId)
      throw new Failure('CHAIN_WITHOUT_FAUCET', { url, chain: String(chain.chainId), needed: String(embeddedChainId) })
    await signIn(client, provider)
    const csv = await readFile(join(import.meta.dirname, 'tour', 'offers.csv'), 'utf8')
    const { listed, unchanged, position } = await importOffers(client, providerName, csv)
    const listing = await cheapestListing(client, position)

    const token = await signIn(client, renter)
    const deposited = await depositOnce(client, chain)
    const available = await until('the deposit can be spent', async () => {
      const money = await availableMoney(client)
      return BigInt(money.amount) < unitsMin ? undefined : money
    })
    return {
      url,
      provider: provider.address,
      listed: listed.length,
      unchanged: unchanged.length,
      renter: renter.address,
      available: available.decimal,
      deposited,
      listing,
      headers: { Authorization: `Bearer ${token}` },
    }
  } finally {
    await client.close()
  }
}

/** Deposits for the renter unless enough can be spent or is on its way. An earlier run may have been interrupted at any
 *  moment: what it left in the wallet is deposited now, and what it deposited already is only waited for. Resolves to
 *  whether there was a new deposit. */
const depositOnce = async (client: Client, chain: ChainInfo): Promise<boolean> => {
  const { inWallet, deposited } = await chainMoney(chain, renter.address)
  const { credited, position } = await creditedUnits(client)
  // At least as new as the sum of credits: a deposit that is credited in between counts twice here, never not at all.
  const available = BigInt((await availableMoney(client, position)).amount)
  const onItsWay = deposited > credited ? deposited - credited : 0n
  if (available + onItsWay >= unitsMin) return false
  if (inWallet < depositUnits) await fund(chain, renter, depositUnits - inWallet)
  await deposit(chain, renter, depositUnits)
  return true
}

/** Resolves to the sum of all deposits that were credited to the renter, and the position of the newest entry. */
const creditedUnits = async (client: Client): Promise<{ credited: bigint; position: string | null }> => {
  type Answer = {
    ledgerEntries: {
      edges: { node: { type: string; position: string; amount: Money } }[]
      pageInfo: { hasNextPage: boolean; endCursor: string | null }
    }
  }
  let [credited, position, after] = [0n, null as string | null, null as string | null]
  for (;;) {
    const { ledgerEntries } = await client.query<Answer>(
      `query ($after: String) { ledgerEntries(first: 100, after: $after) {
        edges { node { type position amount { amount decimal } } } pageInfo { hasNextPage endCursor } } }`,
      { after },
    )
    for (const { node } of ledgerEntries.edges) {
      position ??= node.position
      if (node.type === 'DepositCredited') credited += BigInt(node.amount.amount)
    }
    if (!ledgerEntries.pageInfo.hasNextPage) return { credited, position }
    after = ledgerEntries.pageInfo.endCursor
  }
}

const availableMoney = async (client: Client, atLeast: string | null = null): Promise<Money> => {
  type Answer = { account: { balances: { available: Money }[] } }
  const { account } = await client.query<Answer>(
    'query ($atLeast: Position) { account(atLeast: $atLeast) { balances { available { amount decimal } } } }',
    { atLeast },
  )
  return account.balances[0]?.available ?? { amount: '0', decimal: '0' }
}

const cheapestListing = async (client: Client, atLeast: string): Promise<Listing> => {
  type Answer = { listings: { edges: { node: Listing }[] } }
  const { listings } = await client.query<Answer>(
    `query ($atLeast: Position) { listings(atLeast: $atLeast, filter: { onlyFree: true }, first: 1) {
      edges { node { id pricePerGpuHour { amount decimal } } } } }`,
    { atLeast },
  )
  const [cheapest] = listings.edges
  if (!cheapest) throw new Failure('NO_FITTING_OFFER', { reason: 'no listing is free: end a rental and try again' })
  return cheapest.node
}

const inWords = ({ url, listed, unchanged, renter, available, deposited, listing, headers }: Seeded): string => `
${counted(listed, 'offer')} listed, ${unchanged} known before, by the provider ${provider.address}.
The renter ${renter} can spend ${available} USDC${deposited ? '' : ', known before'}.

Open ${url}/graphql in a browser. To act as the renter, paste this into the headers tab; it is good for twelve hours:

  ${JSON.stringify(headers)}

Then try, for instance:

  { viewer { account { balances { available { decimal } held { decimal } } } } }

  mutation {
    rentGpu(input: { listing: "${listing.id}", hours: 1, maxPricePerGpuHour: "${listing.pricePerGpuHour.decimal}",
        idempotencyKey: "${crypto.randomUUID()}" }) {
      ... on RentGpuSuccess { rental { id status endsAt } }
      ... on Error { code message hint }
    }
  }
`

await runTool({
  usage,
  options: { url: { type: 'string' } },
  open: async ({ options: { url }, files }, { config }) => {
    refuseFiles(files)
    return withoutTrailing(url ?? `http://127.0.0.1:${config.port}`, '/')
  },
  run: async (url, _, { printLine, answer }) => {
    const seeded = await seed(url)
    printLine(inWords(seeded))
    answer(seeded)
  },
})
