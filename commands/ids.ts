import { v5, v7 } from 'uuid'

/** Fixed for ever: every derived id hangs on it. */
const namespace = '6f2c1e0a-3b54-4d5e-9a53-0d3f0a1f7c11'

/** A new id, ordered by time. */
export const newId = (): string => v7()

/** The same parts give the same id, wherever and however often it is asked: this is what makes two walks of one process meet. */
export const derivedId = (...parts: readonly string[]): string => v5(JSON.stringify(parts), namespace)
