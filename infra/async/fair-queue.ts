export type FairQueue<Item> = {
  add(key: string, item: Item): void
  /** Takes the item whose turn it is; returns undefined when none waits. */
  next(): Item | undefined
  /** Returns whether none waits. */
  isEmpty(): boolean
}

/** Makes a queue in which those who wait under one key have their turn in their order, and keys take turns in a circle: who
 *  has much to do holds up no other. */
export const createFairQueue = <Item>(): FairQueue<Item> => {
  const waiting = new Map<string, Item[]>()
  return {
    add: (key, item) => {
      const queue = waiting.get(key)
      if (queue) queue.push(item)
      else waiting.set(key, [item])
    },
    next: () => {
      const [first] = waiting
      if (first === undefined) return undefined
      const [key, queue] = first
      const item = queue.shift()
      waiting.delete(key)
      if (queue.length > 0) waiting.set(key, queue)
      return item
    },
    isEmpty: () => waiting.size === 0,
  }
}
