import { sleep } from '../infra/async/sleep.ts'

const waitMsMax = 30_000
const askEveryMs = 100

/** Asks again until there is an answer, and resolves to it. Throws after 30 s without one, with `what` in the
 *  message. */
export const until = async <Answer>(what: string, ask: () => Promise<Answer | undefined>): Promise<Answer> => {
  const deadline = performance.now() + waitMsMax
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`Timed out waiting until ${what}.`)
    await sleep(askEveryMs)
  }
}
