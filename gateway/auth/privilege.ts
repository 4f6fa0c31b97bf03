import { Failure, type Refusal, refuse } from '../../domain/errors.ts'

/** The access of a wallet beyond its own data. An analyst reads the events of all wallets; an operator reads them too,
 *  and may repair the platform. */
export type Privilege = 'none' | 'analyst' | 'operator'

/** The wallets that OPERATORS and ANALYSTS name, in lower case. */
export type Privileged = { readonly operators: readonly string[]; readonly analysts: readonly string[] }

/** Returns the privilege of a wallet; `none` for a guest, whose wallet is undefined. */
export const privilegeOf = ({ operators, analysts }: Privileged, wallet: string | undefined): Privilege => {
  if (wallet === undefined) return 'none'
  if (operators.includes(wallet)) return 'operator'
  return analysts.includes(wallet) ? 'analyst' : 'none'
}

/** The signed-in wallet, undefined for a guest, and its privilege. */
type Caller = { readonly wallet: string | undefined; readonly privilege: Privilege }

/** Refuses NOT_SIGNED_IN for a guest, and PRIVILEGE_NEEDED for a wallet without this privilege. For mutations, which
 *  answer with refusals. */
export const refuseWithoutPrivilege = (
  needed: Exclude<Privilege, 'none'>,
  { wallet, privilege }: Caller,
): Refusal | undefined => {
  if (wallet === undefined) return refuse('NOT_SIGNED_IN')
  return privilege === needed || privilege === 'operator'
    ? undefined
    : refuse('PRIVILEGE_NEEDED', { privilege: needed })
}

/** Throws NOT_SIGNED_IN for a guest, and PRIVILEGE_NEEDED for a wallet that is neither analyst nor operator. For
 *  queries. */
export const requireAnalyst = (caller: Caller): void => {
  const refusal = refuseWithoutPrivilege('analyst', caller)
  if (refusal) throw new Failure(refusal.refused, refusal.details)
}
