import { Failure, type Refusal, refuse } from '../../domain/errors.ts'

/** The privileges, each with the rights of those before it. */
const privileges = ['none', 'analyst', 'auditor', 'operator'] as const

/** The access of a wallet beyond its own data. An analyst reads the events of all wallets; an auditor also their
 *  accounts, payments, rentals, invoices and traces; an operator may also repair the platform. */
export type Privilege = (typeof privileges)[number]

/** The wallets that OPERATORS, AUDITORS and ANALYSTS name, in lower case. */
export type Privileged = Readonly<Record<'operators' | 'auditors' | 'analysts', readonly string[]>>

/** Returns the privilege of a wallet; `none` for a guest, whose wallet is undefined. */
export const privilegeOf = ({ operators, auditors, analysts }: Privileged, wallet: string | undefined): Privilege => {
  if (wallet === undefined) return 'none'
  if (operators.includes(wallet)) return 'operator'
  if (auditors.includes(wallet)) return 'auditor'
  return analysts.includes(wallet) ? 'analyst' : 'none'
}

/** The signed-in wallet, undefined for a guest, and its privilege. */
type Caller = { readonly wallet: string | undefined; readonly privilege: Privilege }

/** Returns whether a privilege has the rights of another. */
export const hasPrivilege = (privilege: Privilege, needed: Privilege): boolean =>
  privileges.indexOf(privilege) >= privileges.indexOf(needed)

/** Refuses NOT_SIGNED_IN for a guest, and PRIVILEGE_NEEDED for a wallet without this privilege. For mutations, which
 *  answer with refusals. */
export const refuseWithoutPrivilege = (
  needed: Exclude<Privilege, 'none'>,
  { wallet, privilege }: Caller,
): Refusal | undefined => {
  if (wallet === undefined) return refuse('NOT_SIGNED_IN')
  return hasPrivilege(privilege, needed) ? undefined : refuse('PRIVILEGE_NEEDED', { privilege: needed })
}

/** Throws NOT_SIGNED_IN for a guest, and PRIVILEGE_NEEDED for a wallet without this privilege. For queries. */
export const requirePrivilege = (needed: Exclude<Privilege, 'none'>, caller: Caller): void => {
  const refusal = refuseWithoutPrivilege(needed, caller)
  if (refusal) throw new Failure(refusal.refused, refusal.details)
}
