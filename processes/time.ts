/** ISO 8601 in UTC, `seconds` later. */
export const plusSeconds = (time: string, seconds: number): string =>
  new Date(Date.parse(time) + seconds * 1000).toISOString()
