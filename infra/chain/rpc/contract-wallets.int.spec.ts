import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  type Abi,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  type Hex,
  hashMessage,
  http,
  serializeErc6492Signature,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { compile } from '../../../contracts/compiler.ts'
import { createSignIn } from '../../../gateway/auth/sign-in.ts'
import { usedNoncesInMemory } from '../../../gateway/auth/used-nonces.testing.ts'
import { eventually } from '../../../testing/eventually.ts'
import { type ChainProcess, startChainProcess } from '../../../testing/programs/chain.ts'
import { devKeys } from '../dev-keys.ts'
import { serveJsonRpc } from '../json-rpc-server.ts'
import type { Chain } from '../port.ts'
import { createContractWallets } from './contract-wallets.ts'

const owner = privateKeyToAccount(generatePrivateKey())
const eve = privateKeyToAccount(generatePrivateKey())
let folder: string
let running: ChainProcess
let chain: Chain
let wallet: Hex
let factory: Hex
let notYetThere: Hex
let hostile: readonly Hex[]
const [walletContract, factoryContract, hostileContract] = compile([
  'ContractWallet',
  'ContractWalletFactory',
  'HostileWallet',
])

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chain-wallets-'))
  running = await startChainProcess({ folder, blockIntervalMs: 20 })
  chain = running.embedded.chain
  const network = defineChain({
    id: running.description.chainId,
    name: 'test',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [running.description.rpcUrl] } },
  })
  const reader = createPublicClient({ chain: network, transport: http(), pollingInterval: 50 })
  const payer = createWalletClient({ chain: network, transport: http(), account: privateKeyToAccount(devKeys[1]) })
  const deploy = async (contract: typeof walletContract | undefined, args: readonly unknown[]): Promise<Hex> => {
    const { abi = [], bytecode = '0x' } = contract ?? {}
    const hash = await payer.deployContract({ abi: abi as Abi, bytecode, args })
    const { contractAddress } = await reader.waitForTransactionReceipt({ hash })
    if (!contractAddress) throw new Error('it was not deployed')
    return contractAddress
  }
  wallet = await deploy(walletContract, [owner.address])
  factory = await deploy(factoryContract, [])
  const made = { address: factory, abi: factoryContract?.abi as Abi, functionName: 'addressOf', args: [owner.address] }
  notYetThere = (await reader.readContract(made)) as Hex
  hostile = []
  for (const way of [0n, 1n, 2n, 3n]) hostile = [...hostile, await deploy(hostileContract, [way])]
})
afterAll(async () => {
  await running?.stop()
  await rm(folder, { recursive: true, force: true })
})

const createGate = () =>
  createSignIn({
    jwtSecret: 'a secret for tests that is long enough',
    publicUrl: () => 'https://gpu.example.com',
    chainId: running.description.chainId,
    usedNonces: usedNoncesInMemory(),
    hasSigned: chain.hasSigned,
    now: () => '2026-01-01T00:00:00.000Z',
  })
type Sign = (message: string) => Promise<Hex>
const signInAs = async (address: Hex, sign: Sign) => {
  const gate = createGate()
  const asked = await gate.message(address)
  if (!('message' in asked)) throw new Error(asked.refused)
  return gate.signIn(asked.message, await sign(asked.message), address)
}
const byOwner: Sign = (message) => owner.signMessage({ message })
const byEve: Sign = (message) => eve.signMessage({ message })
const makeCall = () =>
  encodeFunctionData({ abi: factoryContract?.abi as Abi, functionName: 'make', args: [owner.address] })
const before =
  (sign: Sign): Sign =>
  async (message) =>
    serializeErc6492Signature({ address: factory, data: makeCall(), signature: await sign(message) })

describe('a wallet that is a contract', () => {
  test('signs in by what its owner signs, and is the user of that address', async () => {
    expect(await signInAs(wallet, byOwner)).toMatchObject({ wallet: wallet.toLowerCase() })
  })

  test('does not sign in by what another key signs, nor does its owner by being its owner', async () => {
    expect(await signInAs(wallet, byEve)).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
    expect(await signInAs(owner.address, before(byEve))).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
    expect(await signInAs(eve.address, byOwner)).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
  })

  test('signs in before it is on the chain, and is not made by that', async () => {
    const block = await chain.heights()
    expect(await signInAs(notYetThere, before(byOwner))).toMatchObject({ wallet: notYetThere.toLowerCase() })
    expect(await signInAs(notYetThere, before(byEve))).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
    expect(await signInAs(notYetThere, byOwner)).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
    expect((await chain.heights()).head).toBe(block.head)
  })

  test('that answers in the worst ways is refused soon, in bounded memory, and the chain stays', async () => {
    const pid = running.embedded.pid()
    for (const address of hostile) {
      const began = performance.now()
      expect(await signInAs(address, byOwner)).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
      expect(performance.now() - began).toBeLessThan(5_000)
    }
    expect(running.embedded.pid()).toBe(pid)
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    expect(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024).toBeLessThan(1_000)
  })
})

describe('clients that share a slow node', () => {
  test('have a share of its checks each: one that asks for many is told so, and leaves room for others', async () => {
    let asked = 0
    const answers: (() => void)[] = []
    const slow = await serveJsonRpc({
      port: 0,
      handle: async () => {
        asked += 1
        await new Promise<void>((resolve) => answers.push(resolve))
        return '0x'
      },
    })
    const inTurn = createContractWallets(createPublicClient({ transport: http(slow.url, { timeout: 30_000 }) }))
    const check = (address: string) => inTurn(wallet, hashMessage('hello'), '0x00', address)
    const greedy = Array.from({ length: 280 }, () => check('192.0.2.1'))
    const others = ['192.0.2.2', '192.0.2.3'].map(check)
    await eventually('the first of another client is asked about', async () => asked === 2)
    const refused = greedy.slice(5)
    expect(new Set(await Promise.all(refused))).toEqual(new Set([undefined]))
    for (let done = 0; done < 7; done += 1) {
      await eventually('one is asked about', async () => answers.length > 0)
      answers.shift()?.()
    }
    expect(await Promise.all([...greedy.slice(0, 5), ...others])).toEqual(Array(7).fill(false))
    expect(asked).toBe(7)
    await slow.close()
  })
})
