/** Remembers which nonces were used, for all processes of the platform. */
export type UsedNonces = {
  /** Uses a nonce. Resolves to true the first time, also when many processes use it at the same time; to false each
   *  time after that. Throws DATABASE_UNAVAILABLE: then it may have been used.
   *  @param expiresAt when the nonce is worth nothing any more (ISO 8601), so that it may be forgotten. */
  use(nonce: string, expiresAt: string): Promise<boolean>
}
