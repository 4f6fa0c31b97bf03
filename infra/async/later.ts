/** Creates a timer: `ask` has `work` called `ms` milliseconds after the first that asked, once for all that ask until then.
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
