import { appendFileSync } from 'node:fs'
import { test } from '@jest/globals'

/** Skips a suite that this machine cannot run. The reason stands in the title of the skipped test, and once more at the
 *  end of the output of the run (testing/servers/stop.ts): what did not run has not passed. */
export const leaveOut = (suite: string, reason: string): void => {
  const line = `${suite}: left out, ${reason}`
  if (process.env.TEST_LEFT_OUT) appendFileSync(process.env.TEST_LEFT_OUT, `${line}\n`)
  const skip = test.skip
  skip(line, () => undefined)
}
