// Nodes say each in its own way that a contract has ended a call: with a code of its own or a general one, in words, or
// with what the contract returned. The table with examples is in reverts.spec.ts.
import { errorCodes } from '../json-rpc.ts'
import { rpcErrorIn } from './parts.ts'

/** That a call was reverted, and that it failed otherwise in OpenEthereum and Nethermind. */
const endingCodes: readonly number[] = [errorCodes.reverted, -32015]
/** Words of nodes for a call that was reverted, or that did what no contract may do. */
const endingWords: readonly RegExp[] = [
  /execution (reverted|halted)|transaction reverted|vm exception while processing|vm execution error/i,
  /evm error:? (?!fatal|database)|out ?of ?gas\b|(invalid|bad) ?(opcode|instruction|jump)|invalid code: /i,
  /stack ?underflow|stack limit reached|max call depth exceeded|write protection|return data out of bounds/i,
]
const wordCharactersMax = 2_000
const returned = /^(reverted )?0x([0-9a-f]{2})+$/i

/** Returns what a contract returned, where a node shows it in the data of an error, bare or wrapped. */
const hasReturned = (data: unknown): boolean => {
  const shown = typeof data === 'object' && data !== null && 'data' in data ? data.data : data
  return typeof shown === 'string' && returned.test(shown.slice(0, wordCharactersMax))
}

/** Returns whether a call failed by what the contract did: then it fails whenever it is asked again. Any other error is
 *  one of the node or the connection. */
export const isOfContract = (error: unknown): boolean => {
  const answered = rpcErrorIn(error)
  if (!answered) return false
  const { code, data, details } = answered
  const words = String(details).slice(0, wordCharactersMax)
  return endingCodes.includes(code) || endingWords.some((ending) => ending.test(words)) || hasReturned(data)
}
