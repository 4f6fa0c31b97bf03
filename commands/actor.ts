/** The sender of a command: a signed-in wallet, or a part of the platform itself. Stored in the metadata of every
 *  event. */
export type Actor = `user:${string}` | `system:${string}`

/** Returns the actor of a signed-in wallet. */
export const userActor = (wallet: string): Actor => `user:${wallet}`

/** Returns the actor of a part of the platform: a saga under its name, or one of `systemActors`. */
export const systemActor = (part: string): Actor => `system:${part}`

/** Returns whether a part of the platform asks, and no wallet. */
export const isSystem = (actor: Actor): boolean => actor.startsWith('system:')

/** The parts that act by themselves. They are stored with every event, so they are data. */
export const systemActors = {
  meter: systemActor('meter'),
  watcher: systemActor('watcher'),
  scheduler: systemActor('scheduler'),
}
