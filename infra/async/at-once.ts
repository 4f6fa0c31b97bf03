/** Works on items, so many at once, and on the next one as soon as one is done. Resolves to the results in the order of
 *  the items. After the first that fails no other is begun.
 *
 *  @example const texts = await mapAtOnce(paths, 8, (path) => readFile(path, 'utf8')) */
export const mapAtOnce = async <Item, Result>(
  items: readonly Item[],
  atOnceMax: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> => {
  const results: Result[] = new Array(items.length)
  const left = items.entries()
  let hasFailed = false
  const run = async () => {
    for (const [index, item] of left) {
      if (hasFailed) return
      try {
        results[index] = await work(item)
      } catch (error) {
        hasFailed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnceMax, items.length) }, run))
  return results
}
