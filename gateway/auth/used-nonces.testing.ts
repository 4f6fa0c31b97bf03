import type { UsedNonces } from '../../infra/nonces/port.ts'

/** Makes a memory of used nonces that ends with the test. `used` has them in order. */
export const usedNoncesInMemory = (): UsedNonces & { readonly used: readonly string[] } => {
  const used: string[] = []
  return {
    used,
    use: async (nonce) => {
      if (used.includes(nonce)) return false
      used.push(nonce)
      return true
    },
  }
}
