// The largest and the smallest value that each field of a schema may hold, for specs.
import type { z } from 'zod'
import { type Limit, limitOf } from './limits.ts'

/** How a text of the most characters is filled: with what takes the most bytes, escapes or surrogate pairs. */
export const fills = { wide: '\u6f22\u5b57\uffee', escaped: '\u0001"\\', pairs: '\u{1f5a5}' } as const
export type Fill = keyof typeof fills
export type Extreme = 'smallest' | { readonly largest: Fill }

type Def = { readonly type: string } & Readonly<Record<string, z.ZodType>>
const defOf = (schema: z.ZodType): Def => schema._zod.def as unknown as Def

/** Returns so many characters that differ along the text, so that no database compresses them away. */
export const textOf = (characters: number, fill: Fill): string => {
  const unit = fills[fill]
  let text = ''
  // A letter that depends on the place, every now and then, and no half of a pair at the end.
  for (let place = 0; text.length + unit.length < characters; place += 1)
    text += unit + (place % 3 === 0 ? String.fromCodePoint(0x4e00 + ((place * 7919) % 20_000)) : '')
  return text.slice(0, characters).toWellFormed().replaceAll('\ufffd', 'x').padEnd(characters, 'x')
}

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length

/** No spec needs more items than this. */
const itemsShownMax = 300

/** Returns as many items as the limit takes; those of the largest size first, as many of them as its bytes take. */
const filled = ({ itemsMax = 0, bytesMax }: Limit, largest: unknown, smallest: unknown): unknown[] => {
  const items = Math.min(itemsMax, itemsShownMax)
  if (bytesMax === undefined) return Array.from({ length: items }, () => largest)
  const [large, small] = [bytesOf(largest) + 1, bytesOf(smallest) + 1]
  const largeItems = Math.min(items, Math.floor((bytesMax - 1) / large))
  const smallItems = Math.min(items - largeItems, Math.floor((bytesMax - 1 - largeItems * large) / small))
  return Array.from({ length: largeItems + smallItems }, (_, index) => (index < largeItems ? largest : smallest))
}

const leafOf = (type: string, limit: Limit, extreme: Extreme): unknown => {
  if (limit.latest) return extreme === 'smallest' ? limit.earliest : limit.latest
  if (type === 'pipe') return extreme === 'smallest' ? limit.min : limit.max
  if (type === 'number') return Number(extreme === 'smallest' ? limit.min : limit.max)
  if (type === 'string')
    return extreme === 'smallest'
      ? 'a'.repeat(limit.charactersMin ?? 0)
      : textOf(limit.charactersMax ?? 0, extreme.largest)
  throw new Error(`${type} has no extreme`)
}

/** Returns a value whose every field is as large, or as small, as its limit allows; an enum has its first or last
 *  value. */
export const extremeOf = (schema: z.ZodType, extreme: Extreme, above: Limit = {}): unknown => {
  const def = defOf(schema)
  const limit = { ...limitOf(schema), ...above }
  const inner = (name: string) => def[name] as z.ZodType
  switch (def.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(def.shape as unknown as Record<string, z.ZodType>).map(([name, field]) => [
          name,
          extremeOf(field, extreme),
        ]),
      )
    case 'readonly':
    case 'optional':
      return extremeOf(inner('innerType'), extreme, limit)
    case 'array':
      if (extreme === 'smallest') return []
      return filled(limit, extremeOf(inner('element'), extreme), extremeOf(inner('element'), 'smallest'))
    case 'record':
      if (extreme === 'smallest') return {}
      // The most characters of a name must be letters: only those start a program.
      return Object.fromEntries(
        filled({ ...limit, itemsMax: 3 }, ['n'.repeat(200), extremeOf(inner('valueType'), extreme)], ['n', '']).map(
          (entry, index) => [`${(entry as [string, string])[0].slice(1)}${index}`, (entry as [string, string])[1]],
        ),
      )
    case 'enum': {
      const values = Object.values(def.entries as unknown as Record<string, string>)
      return extreme === 'smallest' ? values[0] : values.at(-1)
    }
    default:
      return leafOf(def.type, limit, extreme)
  }
}

/** A field without fields of its own, by its path. */
export type Leaf = { readonly path: readonly string[]; readonly type: string; readonly limit: Limit | undefined }

/** Returns all fields of a schema that have no fields of their own, and its lists and records. */
export const leavesOf = (schema: z.ZodType, path: readonly string[] = [], above?: Limit): Leaf[] => {
  const def = defOf(schema)
  const limit = limitOf(schema) || above ? { ...above, ...limitOf(schema) } : undefined
  switch (def.type) {
    case 'object':
      return Object.entries(def.shape as unknown as Record<string, z.ZodType>).flatMap(([name, field]) =>
        leavesOf(field, [...path, name]),
      )
    case 'readonly':
    case 'optional':
      return leavesOf(def.innerType as z.ZodType, path, limit)
    case 'array':
      return [{ path, type: def.type, limit }, ...leavesOf(def.element as z.ZodType, [...path, '0'])]
    case 'record':
      return [
        { path, type: def.type, limit },
        ...leavesOf(def.keyType as z.ZodType, [...path, 'key']),
        ...leavesOf(def.valueType as z.ZodType, [...path, 'a']),
      ]
    default:
      return [{ path, type: def.type, limit }]
  }
}
