/** Splits a list into parts of at most `size` items, in their order.
 *
 *  @example chunksOf([1, 2, 3, 4, 5], 2) // [[1, 2], [3, 4], [5]] */
export const chunksOf = <Item>(items: readonly Item[], size: number): Item[][] => {
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`A chunk has at least one item, not ${size}`)
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}

/** Works on one part after the other, and resolves to the results in their order. The first part that fails is the
 *  last one.
 *
 *  @example
 *  // At most 32 requests at once:
 *  const answers = (await inChunks(ids, 32, (some) => Promise.all(some.map(request)))).flat() */
export const inChunks = async <Item, Result>(
  items: readonly Item[],
  size: number,
  work: (chunk: readonly Item[]) => Promise<Result>,
): Promise<Result[]> => {
  const results: Result[] = []
  for (const chunk of chunksOf(items, size)) results.push(await work(chunk))
  return results
}
