/** Who asks: a signed-in wallet, or a part of the platform itself. Stored in the metadata of every event. */
export type Actor = `user:${string}` | `system:${string}`

export const userActor = (wallet: string): Actor => `user:${wallet}`
export const systemActor = (part: string): Actor => `system:${part}`
export const isSystem = (actor: Actor): boolean => actor.startsWith('system:')
