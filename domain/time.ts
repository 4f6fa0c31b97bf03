/** Returns the moment `seconds` later, as ISO 8601 in UTC. */
export const plusSeconds = (time: string, seconds: number): string =>
  new Date(Date.parse(time) + seconds * 1000).toISOString()
