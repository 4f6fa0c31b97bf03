import {
  encodeDeployData,
  erc6492SignatureValidatorAbi,
  erc6492SignatureValidatorByteCode,
  type Hex,
  type PublicClient,
} from 'viem'
import { createFairPlaces } from '../../async/fair-places.ts'
import { isOfContract } from './reverts.ts'

/** Enough to make a wallet (ERC-6492) and to ask it; the simulator takes half a second for as much. */
const gasMax = 1_000_000n
/** A client has one of the two places at most. A check takes ten seconds where the node is slow. */
const places = { atOnceMax: 2, perKeyMax: 1, waitingMax: 256, waitingPerKeyMax: 4, waitMsMax: 20_000 }
/** What ends the signature of a wallet that is not on the chain yet. */
const notYetThere = '6492'.repeat(16)

/** Makes the check of signatures of wallets that are contracts: by ERC-1271 the contract itself confirms them, and by ERC-6492
 *  one that is not there yet is made first, in a simulation. What the contract does is a stranger's: it has a bound on
 *  gas, which bounds its answer, and few checks run at once, each client in its turn. Resolves to undefined when too
 *  many wait, of the client or in all, and throws an error of the node: that is no answer of the contract. */
export const createContractWallets = (client: PublicClient) => {
  const inPlace = createFairPlaces(places)
  const check = async (wallet: Hex, hash: Hex, signature: Hex): Promise<boolean> => {
    if (!signature.endsWith(notYetThere) && !(await client.getCode({ address: wallet }))) return false
    const data = encodeDeployData({
      abi: erc6492SignatureValidatorAbi,
      args: [wallet, hash, signature],
      bytecode: erc6492SignatureValidatorByteCode,
    })
    const request = client.request as (asked: { method: string; params: readonly unknown[] }) => Promise<unknown>
    try {
      const answer = await request({
        method: 'eth_call',
        params: [{ data, gas: `0x${gasMax.toString(16)}` }, 'latest'],
      })
      return answer === '0x01'
    } catch (error) {
      if (isOfContract(error)) return false
      throw error
    }
  }
  return (wallet: Hex, hash: Hex, signature: Hex, address: string): Promise<boolean | undefined> =>
    inPlace(address, () => check(wallet, hash, signature))
}
