/** Creates a function that calls `work` `ms` milliseconds after it was first asked to, once for all that ask until then.
 *  The wait keeps no process alive; `cancel` ends it. */
export const createLater = (work: () => void) => {
  let timer: NodeJS.Timeout | undefined
  return {
    ask: (ms: number): void => {
      timer ??= setTimeout(() => {
        timer = undefined
        work()
      }, ms).unref()
    },
    cancel: (): void => {
      clearTimeout(timer)
      timer = undefined
    },
  }
}
