import type { World } from './world.ts'

/** Creates a database with the tables of the peer, and fills it. The peer creates its tables in its own process. */
export const preparePeer = async (
  { server, process }: World,
  fill: (url: string) => Promise<void>,
): Promise<string> => {
  const url = await server.createDatabase()
  await process('peer/migrate').run(url, {})
  await fill(url)
  return url
}
