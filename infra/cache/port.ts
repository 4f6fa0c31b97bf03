/** What may be forgotten: short-lived values that nobody mourns when they are lost. */
export type Cache = {
  /** Keeps the value for `ttlMs`; an older value under the same key is replaced. */
  set(key: string, value: string, ttlMs: number): Promise<void>
  /** Gives the value and forgets it: of many who take at the same time, one gets it. Undefined when unknown or expired. */
  take(key: string): Promise<string | undefined>
  close(): Promise<void>
}
