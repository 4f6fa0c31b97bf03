/** A set of UUIDs that takes 16 to 32 bytes for each: it keeps 64 bits of an id. */
export type IdSet = {
  /** Adds an id. Returns false when it, or one with the same 64 bits, was there: about once in as many ids as an
   *  installation ever has. */
  add(id: string): boolean
}

const slotsMin = 1 << 16
const empty = 0n
const factor = 0x9e3779b97f4a7c15n
const mask = (1n << 64n) - 1n

const keyOf = (id: string): bigint => {
  const digits = id.replaceAll('-', '')
  const mixed = (BigInt(`0x${digits.slice(0, 16)}`) * factor) ^ BigInt(`0x${digits.slice(16, 32)}`)
  const key = (mixed * factor) & mask
  return key === empty ? 1n : key
}

/** Creates an empty set. */
export const createIdSet = (): IdSet => {
  let slots = new BigUint64Array(slotsMin)
  let size = 0
  const put = (key: bigint): boolean => {
    const last = slots.length - 1
    for (let slot = Number(key & BigInt(last)); ; slot = (slot + 1) & last) {
      if (slots[slot] === key) return false
      if (slots[slot] !== empty) continue
      slots[slot] = key
      return true
    }
  }
  const grow = () => {
    const before = slots
    slots = new BigUint64Array(before.length * 2)
    for (const key of before) if (key !== empty) put(key)
  }
  return {
    add: (id) => {
      if (size * 2 > slots.length) grow()
      const isNew = put(keyOf(id))
      if (isNew) size += 1
      return isNew
    },
  }
}
