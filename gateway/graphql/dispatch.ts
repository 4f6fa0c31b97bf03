import { userActor } from '../../commands/actor.ts'
import { requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import type { AggregateName, CommandOf } from '../../domain/aggregates.ts'
import { isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import type { Context } from './context.ts'
import { unknownIfMissing } from './errors.ts'
import type { NodeAnswer } from './payloads.ts'

/** Gives one command in the name of the signed-in wallet, and names the position that shows what came of it.
 *  @param command made for the wallet and the time (ISO 8601 in UTC) that the event will carry.
 *  @param commandId the same again is the same request; left out, each call is one of its own.
 *  Refuses NOT_SIGNED_IN, what the command refuses, and instead of NOT_YOURS, where there is nothing, the code that says so. */
export const dispatch = async <Name extends AggregateName>(
  { services: { commands, store, now }, wallet }: Context,
  name: Name,
  id: string,
  command: (wallet: string, time: string) => CommandOf<Name>,
  commandId = newId(),
): Promise<NodeAnswer | Refusal> => {
  if (wallet === undefined) return refuse('NOT_SIGNED_IN')
  const time = now()
  const envelope = requestEnvelope(commandId, userActor(wallet), time)
  const answer = await commands.execute(name, id, command(wallet, time), envelope)
  if (isRefusal(answer)) return unknownIfMissing(commands, name, id, answer)
  return { id, position: answer.position ?? (await store.head()) }
}
