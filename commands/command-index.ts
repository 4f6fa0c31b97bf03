/** An index of where each command of one stream was answered, as small as possible: 11 to 22 bytes per command. */
export type CommandIndex = {
  /** Adds the revision of the first event of a command's answer. A revision up to `through` is in the index already. */
  add(commandId: string, revision: bigint): void
  /** Returns the revisions where the answer may begin; mostly none or one. Commands are found by a hash, so the event
   *  at the revision may be another command's: read it to be sure. */
  find(commandId: string): readonly bigint[]
  /** The highest revision that was added. */
  readonly through: bigint
  readonly bytes: number
}

const slotsMin = 16
const fullMax = 0.75
const slotWords = 2
const wordBytes = 4

/** Returns FNV-1a with a final mix, so that ids that differ in one digit land in slots far apart. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** Makes a hash table with open addressing. A slot is two words: the hash, and the revision + 1, where 0 means a free
 *  slot. Its limit is four billion events; folding such a stream once would take half a day. */
export const createCommandIndex = (): CommandIndex => {
  let slots = slotsMin
  let words = new Uint32Array(slots * slotWords)
  let count = 0
  let through = -1n

  const put = (hash: number, stored: number) => {
    let slot = hash & (slots - 1)
    while (words[slot * slotWords + 1] !== 0) slot = (slot + 1) & (slots - 1)
    words[slot * slotWords] = hash
    words[slot * slotWords + 1] = stored
  }

  const grow = () => {
    const before = words
    slots *= 2
    words = new Uint32Array(slots * slotWords)
    for (let at = 0; at < before.length; at += slotWords) {
      const stored = before[at + 1] ?? 0
      if (stored !== 0) put(before[at] ?? 0, stored)
    }
  }

  return {
    add: (commandId, revision) => {
      if (revision <= through) return
      through = revision
      if (++count > slots * fullMax) grow()
      put(hashOf(commandId), Number(revision) + 1)
    },
    find: (commandId) => {
      const hash = hashOf(commandId)
      const found: bigint[] = []
      for (let slot = hash & (slots - 1); ; slot = (slot + 1) & (slots - 1)) {
        const stored = words[slot * slotWords + 1] ?? 0
        if (stored === 0) return found
        if (words[slot * slotWords] === hash) found.push(BigInt(stored - 1))
      }
    },
    get through() {
      return through
    },
    get bytes() {
      return slots * slotWords * wordBytes
    },
  }
}
