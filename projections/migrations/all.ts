import { ReadModels } from './2026-11-22-read-models.ts'

/** In the order they are run. A name that was released is never changed, and neither is what it does. */
export const migrations = [{ name: '2026-11-22-read-models', class: ReadModels }]
