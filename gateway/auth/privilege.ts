import { Failure, type Refusal, refuse } from '../../domain/errors.ts'

/** What a wallet may do beyond its own business. An analyst sees everybody's history; an operator sees it too, and may mend
 *  the platform. */
export type Privilege = 'none' | 'analyst' | 'operator'

/** The wallets that OPERATORS and ANALYSTS name, in lower case. */
export type Privileged = { readonly operators: readonly string[]; readonly analysts: readonly string[] }

/** Undefined for a guest, who has none. */
export const privilegeOf = ({ operators, analysts }: Privileged, wallet: string | undefined): Privilege => {
  if (wallet === undefined) return 'none'
  if (operators.includes(wallet)) return 'operator'
  return analysts.includes(wallet) ? 'analyst' : 'none'
}

/** Whoever asks: the signed-in wallet, and what it may do. */
type Caller = { readonly wallet: string | undefined; readonly privilege: Privilege }

/** NOT_SIGNED_IN for a guest, PRIVILEGE_NEEDED for a wallet without this privilege. For mutations, which answer with refusals. */
export const refuseWithoutPrivilege = (
  needed: Exclude<Privilege, 'none'>,
  { wallet, privilege }: Caller,
): Refusal | undefined => {
  if (wallet === undefined) return refuse('NOT_SIGNED_IN')
  return privilege === needed || privilege === 'operator'
    ? undefined
    : refuse('PRIVILEGE_NEEDED', { privilege: needed })
}

/** For queries. Operators are analysts too. Throws NOT_SIGNED_IN, PRIVILEGE_NEEDED. */
export const requireAnalyst = (asker: Caller): void => {
  const refusal = refuseWithoutPrivilege('analyst', asker)
  if (refusal) throw new Failure(refusal.refused, refusal.details)
}
