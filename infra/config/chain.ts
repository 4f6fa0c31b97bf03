import { z } from 'zod'
import { chainIdMax } from '../../domain/limits.ts'
import { address, originList, setting, urlOf, wholeNumber } from './setting.ts'

/** Settings: the chain that deposits are made on. */
export const chainSettings = {
  CHAIN_RPC_URL: setting(urlOf('http', 'https', 'ws', 'wss'), {
    description:
      'The RPC address of the chain. Needs CHAIN_ID, TOKEN_ADDRESS, MARKETPLACE_ADDRESS and CHAIN_CONFIRMATIONS.',
    takes: 'an http://, https://, ws:// or wss:// address',
    example: 'https://rpc.example.com',
    unset: 'an embedded chain with the contracts deployed',
    secret: true,
  }),
  CHAIN_ID: setting(wholeNumber(1, chainIdMax), {
    description: 'The id of the chain behind CHAIN_RPC_URL.',
    takes: `a whole number from 1 to ${chainIdMax}`,
    example: '11155111',
    unset: 'the id of the embedded chain',
  }),
  TOKEN_ADDRESS: setting(address, {
    description: 'The ERC-20 token that deposits are made in, on the chain behind CHAIN_RPC_URL.',
    takes: '0x and 40 hexadecimal digits',
    example: '0x5FbDB2315678afecb367f032d93F642f64180aa3',
    unset: 'the token of the embedded chain',
  }),
  MARKETPLACE_ADDRESS: setting(address, {
    description: 'The marketplace contract that takes deposits, on the chain behind CHAIN_RPC_URL.',
    takes: '0x and 40 hexadecimal digits',
    example: '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512',
    unset: 'the contract of the embedded chain',
  }),
  CHAIN_CONFIRMATIONS: setting(wholeNumber(0, 10_000), {
    description: 'How many blocks must lie above a deposit before it can be spent, besides what the chain calls final.',
    takes: 'a whole number from 0 to 10000',
    example: '12',
    unset: 'what suits the embedded chain',
  }),
  CHAIN_HEADERS: setting(z.enum(['checked', 'unchecked']), {
    description:
      'Whether each block must have the hash of its header. Only for a chain that makes its hashes in a way of its own: unchecked believes a node that invents a block, and reads each block again at every poll.',
    takes: 'checked or unchecked',
    example: 'unchecked',
    unset: 'checked',
  }),
  CHAIN_PORT: setting(wholeNumber(0, 65535), {
    description: 'The RPC port of the embedded chain. When it is taken, any free one is used.',
    takes: 'a whole number from 0 to 65535',
    example: '9545',
    unset: '8545',
  }),
  CHAIN_ORIGINS: setting(originList, {
    description:
      'The web pages and browser wallets that may call the embedded chain, as they name themselves in the Origin header.',
    takes: 'origins with commas between them',
    example: 'https://app.example.com,http://localhost:3000',
    unset: 'none: programs of this machine call it, and no page of a browser',
  }),
}
