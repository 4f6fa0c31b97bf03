/** Creates a function that does the same work for many at once: what is given in one turn of the event loop, and what
 *  comes while a run is under way, is one run. Each caller gets the error of its run.
 *
 *  @example const save = gather((rows: readonly Row[]) => insert(rows))
 *  await Promise.all([save(one), save(other)]) // one insert */
export const gather = <Item>(run: (items: readonly Item[]) => Promise<void>): ((item: Item) => Promise<void>) => {
  let next: { readonly items: Item[]; readonly done: Promise<void> } | undefined
  let last: Promise<void> = Promise.resolve()

  const begin = () => {
    const items: Item[] = []
    const done = last
      .then(() => new Promise((resolve) => setImmediate(resolve)))
      .then(() => {
        next = undefined
        return run(items)
      })
    last = done.catch(() => undefined)
    return { items, done }
  }

  return (item) => {
    next ??= begin()
    next.items.push(item)
    return next.done
  }
}
