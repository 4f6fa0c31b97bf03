import { Failure } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import type { CatchUp } from '../../projections/engine/catch-up.ts'
import { type Privilege, privilegeOf } from '../auth/privilege.ts'
import type { SignIn } from '../auth/sign-in.ts'
import type { Client } from '../executions.ts'
import type { Services } from '../services.ts'
import { createLoaders, type Loaders } from './loaders.ts'
import { modelsReadBy, type Selected } from './models-read.ts'

/** How long a query may wait until the read models reach the position that it asked for. */
export const waitMsMax = 5_000

/** What every resolver gets: the caller, and the services that it may call. */
export type Context = {
  readonly services: Services
  readonly signIn: SignIn
  /** The signed-in wallet; undefined for a guest. */
  readonly wallet: string | undefined
  readonly privilege: Privilege
  readonly client: Client
  /** Runs a piece of the work of a subscription that catches up, when it is the turn of its address. */
  readonly catchUp: CatchUp
  readonly loaders: Loaders
  /** The bytes of the answer so far, counted by gateway/graphql/answer-size.ts. */
  readonly answer: { bytes: number }
  /** Aborts when the gateway closes. */
  readonly closing: AbortSignal
}

/** Creates the context of one request, with its own loaders. */
export const createContext = (parts: Omit<Context, 'loaders' | 'privilege' | 'answer'>): Context => ({
  ...parts,
  privilege: privilegeOf(parts.services.privileged, parts.wallet),
  loaders: createLoaders(parts.services.read),
  answer: { bytes: 0 },
})

/** Returns the signed-in wallet. Throws NOT_SIGNED_IN. */
export const requireWallet = ({ wallet }: Context): string => {
  if (wallet === undefined) throw new Failure('NOT_SIGNED_IN')
  return wallet
}

/** Waits until the read models that a field reads have reached `atLeast`, a position that the client has seen. Throws
 *  POSITION_FOREIGN, POSITION_AHEAD, POSITION_NOT_REACHED. */
export const reachPosition = async (
  { services }: Context,
  atLeast: string | null | undefined,
  selected: Selected,
): Promise<void> => {
  if (atLeast === null || atLeast === undefined) return
  const position = services.store.parsePosition(atLeast)
  await services.checkExists(position)
  await services.waitFor(position, waitMsMax, modelsReadBy(selected))
}

/** Returns a position at which queries show the result of a command: its own, or the head of the log when it stored
 *  nothing. */
export const resultPosition = async (
  { store }: Pick<Services, 'store'>,
  { position }: { readonly position: Position | undefined },
): Promise<Position> => position ?? (await store.head())

/** The codes of a read model that is behind, or cannot be read at this moment. */
const lateCodes = ['POSITION_NOT_REACHED', 'READ_MODEL_BUILDING', 'DATABASE_UNAVAILABLE']

/** Resolves to the node once the read models that it is read from have reached the position of a mutation. Null when they are late or cannot
 *  be read: the mutation has succeeded, and its answer must not be an error. */
export const nodeAt = async <Node>(
  { services }: Context,
  position: Position,
  selected: Selected,
  find: () => Promise<Node | undefined>,
): Promise<Node | null> => {
  try {
    await services.waitFor(position, waitMsMax, modelsReadBy(selected))
    return (await find()) ?? null
  } catch (error) {
    if (error instanceof Failure && lateCodes.includes(error.code)) return null
    throw error
  }
}
