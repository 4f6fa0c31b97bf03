import { Failure } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { type Privilege, privilegeOf } from '../auth/privilege.ts'
import type { SignIn } from '../auth/sign-in.ts'
import type { Services } from '../services.ts'
import { createLoaders, type Loaders } from './loaders.ts'

/** How long a query may wait for the read models to reach the position that it asked for. */
export const waitMsMax = 5_000

/** What every resolver is given: who asks, and what may be called. */
export type Context = {
  readonly services: Services
  readonly signIn: SignIn
  /** The signed-in wallet; undefined for a guest. */
  readonly wallet: string | undefined
  readonly privilege: Privilege
  readonly loaders: Loaders
  /** Aborts when the gateway closes. */
  readonly closing: AbortSignal
}

export const createContext = (parts: Omit<Context, 'loaders' | 'privilege'>): Context => ({
  ...parts,
  privilege: privilegeOf(parts.services.privileged, parts.wallet),
  loaders: createLoaders(parts.services.read),
})

/** The signed-in wallet. Throws NOT_SIGNED_IN. */
export const requireWallet = ({ wallet }: Context): string => {
  if (wallet === undefined) throw new Failure('NOT_SIGNED_IN')
  return wallet
}

/** Waits until the read models have seen the position that the asker has seen. Throws POSITION_FOREIGN,
 *  POSITION_NOT_REACHED. */
export const reachPosition = async ({ services }: Context, atLeast: string | null | undefined): Promise<void> => {
  if (atLeast === null || atLeast === undefined) return
  await services.waitFor(services.store.parsePosition(atLeast), waitMsMax)
}

const lateCodes = ['POSITION_NOT_REACHED', 'READ_MODEL_BUILDING', 'DATABASE_UNAVAILABLE']

/** The node as it is once the read models have seen what was just done. Null when they are late or cannot be asked: what was
 *  done is done, and the answer must say so. */
export const nodeAt = async <Node>(
  { services }: Context,
  position: Position,
  find: () => Promise<Node | undefined>,
): Promise<Node | null> => {
  try {
    await services.waitFor(position, waitMsMax)
    return (await find()) ?? null
  } catch (error) {
    if (error instanceof Failure && lateCodes.includes(error.code)) return null
    throw error
  }
}
