const momentCharactersMax = 40
const moment = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

/** Returns whether the calendar has this day (2026-01-31): `Date` rolls another one over into the next month. */
const isDay = (date: string): boolean => {
  const parsed = new Date(`${date}T00:00:00Z`)
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(date)
}

/** Returns a moment in ISO 8601, with its zone, as ISO 8601 in UTC with milliseconds; undefined for any other text, and
 *  for a day that the calendar does not have. */
export const readMoment = (text: string): string | undefined => {
  const [, day = ''] = (text.length <= momentCharactersMax && moment.exec(text)) || []
  const time = new Date(text)
  return isDay(day) && !Number.isNaN(time.getTime()) ? time.toISOString() : undefined
}
