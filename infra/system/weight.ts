const objectBytes = 48
const fieldBytes = 16
const characterBytes = 2
const numberBytes = 16
/** Deeper values are not counted: a cache needs no exact figure. */
const depthMax = 20
const [comma, bracket, brace, bracketEnd, braceEnd, quote, backslash] = [...',[{]}"\\'].map((character) =>
  character.charCodeAt(0),
)

/** Returns about how many bytes of memory JSON takes once it is parsed, and never much less: each value and field may be
 *  an object; and how many lists and objects are within each other at most. Visits all of the text. */
export const jsonSizeOf = (text: string): { readonly bytes: number; readonly depth: number } => {
  let [values, depth, deepest, isText] = [1, 0, 0, false]
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (code === quote) isText = !isText
    else if (isText) index += code === backslash ? 1 : 0
    else if (code === comma) values += 1
    else if (code === bracket || code === brace) {
      values += 1
      depth += 1
      deepest = Math.max(deepest, depth)
    } else if (code === bracketEnd || code === braceEnd) depth -= 1
  }
  return { bytes: text.length * characterBytes + values * (objectBytes + fieldBytes), depth: deepest }
}

/** Returns about how many bytes of memory a value of plain data takes. Visits all of the value. */
export const weightOf = (value: unknown, depth = 0): number => {
  if (typeof value === 'string') return objectBytes + value.length * characterBytes
  if (typeof value === 'bigint' || typeof value === 'number') return numberBytes
  if (typeof value !== 'object' || value === null || depth > depthMax) return 0
  const fields =
    value instanceof Map
      ? value
      : value instanceof Set || Array.isArray(value)
        ? value.entries()
        : Object.entries(value)
  let bytes = objectBytes
  for (const [key, field] of fields)
    bytes += fieldBytes + weightOf(field, depth + 1) + (value instanceof Map ? weightOf(key, depth + 1) : 0)
  return bytes
}
