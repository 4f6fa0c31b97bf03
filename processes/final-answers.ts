import type { Commands } from '../commands/execute.ts'
import { Failure, isRefusal } from '../domain/errors.ts'
import { isFinal } from '../domain/refusals.ts'

/** Returns commands for a caller that takes a refusal as a "no", such as a timer that counts as done then: a refusal
 *  that means "try again" (too many conflicts) is thrown, so that the caller runs again. */
export const finalAnswers = (commands: Commands): Commands => ({
  ...commands,
  execute: async (...asked) => {
    const answer = await commands.execute(...asked)
    if (isRefusal(answer) && !isFinal(answer.refused)) throw new Failure(answer.refused, answer.details)
    return answer
  },
})
