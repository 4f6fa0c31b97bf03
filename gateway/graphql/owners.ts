import { isAddress } from 'viem'
import { Failure } from '../../domain/errors.ts'
import { shortened } from '../../domain/limits.ts'
import { hasPrivilege, requirePrivilege } from '../auth/privilege.ts'
import { builder } from './builder.ts'
import { type Context, requireWallet } from './context.ts'

/** `wallet` lets an auditor see what a query shows of another wallet. */
export const walletArgument = builder.args((t) => ({
  wallet: t.id({
    description:
      'Whose: the viewer when it is left out. Another wallet is for auditors and operators; fails with PRIVILEGE_NEEDED.',
  }),
}))

/** Returns the wallet that a query is about, in lower case: the viewer when none is named. Throws NOT_SIGNED_IN,
 *  INPUT_INVALID, and PRIVILEGE_NEEDED for the wallet of another unless the viewer is an auditor. */
export const requireOwner = (context: Context, named: string | null | undefined): string => {
  const viewer = requireWallet(context)
  if (named === null || named === undefined) return viewer
  if (!isAddress(named, { strict: false }))
    throw new Failure('INPUT_INVALID', { wallet: shortened(named), takes: '0x and 40 hexadecimal digits' })
  const wallet = named.toLowerCase()
  if (wallet !== viewer) requirePrivilege('auditor', context)
  return wallet
}

/** Returns whether the viewer sees what belongs to these wallets: it is one of them, or an auditor. */
export const sees = ({ wallet, privilege }: Context, owners: readonly (string | null | undefined)[]): boolean =>
  (wallet !== undefined && owners.includes(wallet)) || hasPrivilege(privilege, 'auditor')
