/** How values of the database look here: whole numbers of 64 bits as bigint, decimals as they are written, moments as
 *  ISO 8601 in UTC (milliseconds, as our own clock gives them), dates and times without zone as text. */
const elements: Readonly<Record<number, (text: string) => unknown>> = {
  20: BigInt, // int8
  1082: String, // date
  1114: String, // timestamp
  1184: (text) => toIso(text), // timestamptz
  1700: String, // numeric
}
/** The array type of each. */
const arrays: Readonly<Record<number, number>> = { 1016: 20, 1182: 1082, 1115: 1114, 1185: 1184, 1231: 1700 }

/** "2026-01-02 03:04:05.678+02" → "2026-01-02T01:04:05.678Z". What is no moment ("infinity") stays as it is. */
export const toIso = (text: string): string => {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)(?::?(\d\d))?$/.exec(text)
  if (!match) return text
  const [, date, time, hours, minutes = '00'] = match
  return new Date(`${date}T${time}${hours}:${minutes}`).toISOString()
}

type Parser = (text: string) => unknown
const textArray = 1009

/** For one client, in place of the driver's parsers, which all clients of a process share. */
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
