import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { FromContestant, FromParent } from './contestant.ts'
import type { ContestantName } from './contestants.ts'
import type { Outcome } from './task.ts'

export type Contestant = {
  /** Runs one round at a time. `onReady` is called when other processes may begin. Throws what the contestant threw,
   *  and when its process ended. */
  run(url: string, parameters: FromParent['parameters'], onReady?: () => void): Promise<Outcome>
  close(): Promise<void>
}

/** Starts the process of a contestant. The process stays for all rounds, so that its code is as warm as in a server. */
export const startContestant = (name: ContestantName): Contestant => {
  const child: ChildProcess = fork(join(import.meta.dirname, 'contestant.ts'), {
    execArgv: ['--expose-gc'],
    env: { ...process.env, NODE_OPTIONS: '' },
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  return {
    run: (url, parameters, onReady) =>
      new Promise((resolve, reject) => {
        const finish = () => {
          child.off('message', onMessage)
          child.off('exit', gone)
        }
        const onMessage = (message: FromContestant) => {
          if ('ready' in message) return onReady?.()
          finish()
          if ('outcome' in message) resolve(message.outcome)
          else reject(new Error(`${name}: ${message.failure}`))
        }
        const gone = (code: number | null, signal: string | null) => {
          finish()
          reject(new Error(`${name}: its process ended with ${signal ?? code}`))
        }
        child.on('message', onMessage)
        child.once('exit', gone)
        if (child.exitCode !== null || child.signalCode !== null) return gone(child.exitCode, child.signalCode)
        child.send({ name, url, parameters } satisfies FromParent)
      }),
    close: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}
