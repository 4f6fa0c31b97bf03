import { Failure } from '../../domain/errors.ts'

const blockOf = (name: string, text: string | undefined): bigint | undefined => {
  if (text === undefined) return undefined
  if (!/^\d{1,30}$/.test(text)) throw new Failure('INPUT_INVALID', { [name]: text, takes: 'the number of a block' })
  return BigInt(text)
}

type Asked = { readonly from: bigint; readonly to: bigint | undefined }

/** Returns the blocks that the options name: from the first one, and to the last one that was read, when left out. Throws
 *  INPUT_INVALID. */
export const readBlocks = (options: { readonly from?: string; readonly to?: string }): Asked => {
  const asked = { from: blockOf('from', options.from) ?? 0n, to: blockOf('to', options.to) }
  const { from, to } = asked
  if (to !== undefined && from > to)
    throw new Failure('INPUT_INVALID', { from: String(from), to: String(to), takes: '--from at or before --to' })
  return asked
}

/** Returns the last block to read: none after the last final one that was read. Throws INPUT_INVALID where none is left,
 *  with the blocks that the chain has. */
export const lastBlock = (
  { from, to }: Asked,
  { name, block }: { readonly name: string; readonly block: bigint },
): bigint => {
  if (from > block)
    throw new Failure('INPUT_INVALID', {
      from: String(from),
      takes: `0 to ${block}, the final blocks of ${name} that were read`,
    })
  return to === undefined || to > block ? block : to
}
