/** How values of the database are parsed: whole numbers of 64 bits into bigint, decimals into their text, moments into
 *  ISO 8601 in UTC (milliseconds, as the clock of the program gives them), dates and times without zone into text. */
const elements: Readonly<Record<number, (text: string) => unknown>> = {
  20: BigInt, // int8
  1082: String, // date
  1114: String, // timestamp
  1184: (text) => toIso(text), // timestamptz
  1700: String, // numeric
}
/** The array type of each. */
const arrays: Readonly<Record<number, number>> = { 1016: 20, 1182: 1082, 1115: 1114, 1185: 1184, 1231: 1700 }

/** Turns a moment of PostgreSQL into ISO 8601 in UTC: "2026-01-02 03:04:05.678+02" → "2026-01-02T01:04:05.678Z".
 *  Returns any other text ("infinity") unchanged. */
export const toIso = (text: string): string => {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)(?::?(\d\d))?$/.exec(text)
  if (!match) return text
  const [, date, time, hours, minutes = '00'] = match
  return new Date(`${date}T${time}${hours}:${minutes}`).toISOString()
}

type Parser = (text: string) => unknown
const textArray = 1009

/** Makes the parsers of one client. The driver's own parsers are shared by all clients of a process, so they stay
 *  unchanged. */
export const typeParsers = (
  standard: (oid: number, format?: 'text') => Parser,
): { getTypeParser: (oid: number) => Parser } => ({
  getTypeParser: (oid) => {
    const element = elements[arrays[oid] ?? oid]
    if (element === undefined) return standard(oid, 'text')
    const asTexts = standard(textArray, 'text')
    return oid in arrays ? (text) => deepMap(asTexts(text), element) : element
  },
})

const deepMap = (value: unknown, element: Parser): unknown => {
  if (Array.isArray(value)) return value.map((inner) => deepMap(inner, element))
  return typeof value === 'string' ? element(value) : value
}
