import { createSemaphore } from '../../async/semaphore.ts'
import { sleep } from '../../async/sleep.ts'
import { errorCodes, rpcError } from '../json-rpc.ts'

/** Makes the lane in which the calls of guests run: one at a time, so that the platform waits for at most one of them;
 *  `waitingMax` more wait. A call that takes longer than `callMsMax` is answered with an error, and keeps the lane until
 *  it is over. Throws an RpcError (limit exceeded). */
export const createLane = ({ waitingMax, callMsMax }: { readonly waitingMax: number; readonly callMsMax: number }) => {
  const oneAtATime = createSemaphore(1)
  let inside = 0
  return async <Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> => {
    if (inside > waitingMax) throw rpcError(errorCodes.limitExceeded, 'Too many calls wait; try again')
    inside += 1
    const late = new AbortController()
    const done = new AbortController()
    const working = oneAtATime(() => {
      late.signal.throwIfAborted()
      return work(late.signal)
    }).finally(() => {
      inside -= 1
      done.abort()
    })
    working.catch(() => undefined)
    const tooLong = sleep(callMsMax, done.signal).then(() => {
      if (done.signal.aborted) return working
      const error = rpcError(errorCodes.limitExceeded, `The call took longer than ${callMsMax / 1000} s`)
      late.abort(error)
      throw error
    })
    return Promise.race([working, tooLong])
  }
}
