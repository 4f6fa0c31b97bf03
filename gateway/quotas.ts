import { createBoundedMap, registerBound } from '../infra/async/bounded.ts'

/** How much of one thing may be in use at once: by one address, by one wallet, and by all together. */
export type Quota = {
  readonly perAddressMax: number
  readonly perUserMax: number
  readonly totalMax: number
}

/** Who uses something: the address of the client, and its wallet where that is known and counts. */
export type User = { readonly address?: string | undefined; readonly wallet?: string | undefined }

export type Quotas<Name extends string> = {
  /** Takes an amount of what is named, and returns the function that gives it back; undefined when a quota would be
   *  exceeded. Giving back twice counts once. */
  take(name: Name, user: User, amount?: number): (() => void) | undefined
  /** Returns how much of what is named is in use by all. */
  inUse(name: Name): number
}

const bound = registerBound({
  name: 'quotas in use',
  holds: 'What each address and each wallet uses at the moment: connections, operations and bytes of requests.',
  whenFull: 'refuses the new one',
  entriesMax: 50_000,
})

/** Makes the counters of these quotas, all at zero.
 *
 *  @example
 *  const quotas = createQuotas({ sockets: { perAddressMax: 2, perUserMax: 2, totalMax: 100 } })
 *  const giveBack = quotas.take('sockets', { address: '192.0.2.1' })
 *  if (giveBack === undefined) refuse()
 *  giveBack() */
export const createQuotas = <Name extends string>(limits: Readonly<Record<Name, Quota>>): Quotas<Name> => {
  const used = createBoundedMap<number>(bound)
  const change = (key: string, amount: number): boolean => {
    const next = (used.get(key) ?? 0) + amount
    if (next > 0) return used.set(key, next)
    used.delete(key)
    return true
  }

  return {
    take: (name, { address, wallet }, amount = 1) => {
      const { perAddressMax, perUserMax, totalMax } = limits[name]
      const wanted: readonly (readonly [key: string, max: number])[] = [
        [`${name} in total`, totalMax],
        ...(address === undefined ? [] : [[`${name} of address ${address}`, perAddressMax] as const]),
        ...(wallet === undefined ? [] : [[`${name} of wallet ${wallet}`, perUserMax] as const]),
      ]
      if (wanted.some(([key, max]) => (used.get(key) ?? 0) + amount > max)) return undefined
      const taken: string[] = []
      const giveBack = () => {
        for (const key of taken.splice(0)) change(key, -amount)
      }
      for (const [key] of wanted) {
        if (!change(key, amount)) {
          giveBack()
          return undefined
        }
        taken.push(key)
      }
      return giveBack
    },
    inUse: (name) => used.get(`${name} in total`) ?? 0,
  }
}
