/** Makes a function that reads a value at most once in `ageMs`, and for all callers at that time at once. */
export const createSnapshot = <Value>(read: () => Promise<Value>, ageMs: number): (() => Promise<Value>) => {
  let last: { readonly value: Promise<Value>; untilMs: number } | undefined
  return () => {
    if (last && performance.now() < last.untilMs) return last.value
    const taken = { value: read(), untilMs: Number.POSITIVE_INFINITY }
    last = taken
    const ends = () => {
      taken.untilMs = performance.now() + ageMs
    }
    taken.value.then(ends, ends)
    return taken.value
  }
}
