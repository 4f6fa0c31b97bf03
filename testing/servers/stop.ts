import { rm } from 'node:fs/promises'
import type { EmbeddedPostgres } from '../../infra/embedded-postgres.ts'

type Kept = { server: EmbeddedPostgres; folder: string }

/** Jest loads its two hooks apart from each other; what they share lies where both can see it. */
const shelf: { neuralMeshTestServer?: Kept } = globalThis as typeof globalThis & { neuralMeshTestServer?: Kept }

export const keepServer = (kept: Kept): void => {
  shelf.neuralMeshTestServer = kept
}

/** Jest calls this once after all specs. */
const stopServers = async (): Promise<void> => {
  const kept = shelf.neuralMeshTestServer
  if (kept === undefined) return
  await kept.server.close()
  await rm(kept.folder, { recursive: true })
}

export default stopServers
