const times = { firstMs: 2_000, everyMs: 10_000 }

/** Resolves or rejects as the work does, and meanwhile calls `tell` with the whole seconds that it has been waited for:
 *  first after 2 seconds, then every 10. */
export const tellWhileWaiting = async <Result>(
  work: Promise<Result>,
  tell: (seconds: number) => void,
  { firstMs, everyMs }: { readonly firstMs: number; readonly everyMs: number } = times,
): Promise<Result> => {
  const began = performance.now()
  const next = () => {
    tell(Math.round((performance.now() - began) / 1000))
    timer = setTimeout(next, everyMs)
  }
  let timer = setTimeout(next, firstMs)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}
