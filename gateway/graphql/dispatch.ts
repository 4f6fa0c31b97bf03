import { userActor } from '../../commands/actor.ts'
import { requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import type { AggregateName, CommandOf } from '../../domain/aggregates.ts'
import { isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import { type Context, resultPosition } from './context.ts'
import { unknownIfMissing } from './errors.ts'
import type { NodeAnswer } from './payloads.ts'

/** Dispatches one command to an aggregate in the name of the signed-in wallet. Resolves to the id, and to the position
 *  that shows the result.
 *  @param commandFor makes the command from the wallet and from the time (ISO 8601 in UTC) that its event will carry.
 *  @param commandId the same id again is the same request. Without it, each call is a new request.
 *  Refuses NOT_SIGNED_IN, and what the command refuses; where nothing exists, NOT_YOURS becomes LISTING_UNKNOWN,
 *  JOB_UNKNOWN, … */
export const dispatch = async <Name extends AggregateName>(
  { services, wallet }: Context,
  name: Name,
  id: string,
  commandFor: (wallet: string, time: string) => CommandOf<Name>,
  commandId = newId(),
): Promise<NodeAnswer | Refusal> => {
  if (wallet === undefined) return refuse('NOT_SIGNED_IN')
  const { commands, now } = services
  const time = now()
  const envelope = requestEnvelope(commandId, userActor(wallet), time)
  const answer = await commands.execute(name, id, commandFor(wallet, time), envelope)
  if (isRefusal(answer)) return unknownIfMissing(commands, name, id, answer)
  return { id, position: await resultPosition(services, answer) }
}
