/** Holds short-lived values whose loss does no harm. */
export type Cache = {
  /** Stores the value for `ttlMs`, in place of an older value under the same key. */
  set(key: string, value: string, ttlMs: number): Promise<void>
  /** Removes the value and resolves to it: of many callers at the same time, one gets it. Undefined when unknown or
   *  expired. */
  take(key: string): Promise<string | undefined>
  close(): Promise<void>
}
