import type { World } from './world.ts'

/** A database in which the peer has made its tables, and which is then filled. The peer does so in its own process. */
export const preparePeer = async (
  { server, process }: World,
  fill: (url: string) => Promise<void>,
): Promise<string> => {
  const url = await server.createDatabase()
  await process('peer/migrate').run(url, {})
  await fill(url)
  return url
}
