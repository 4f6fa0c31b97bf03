import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Growth } from './worst-texts.ts'

/** How long such a program may take: about 10 s of CPU time, and a busy machine takes longer. */
export const growthsMsMax = 170_000

/** Runs a program of `testing/programs/` in a process of its own and resolves to the growths that it prints, one a
 *  line. */
export const growthsOf = async (program: string, characters: number): Promise<readonly Growth[]> => {
  const path = join(import.meta.dirname, 'programs', program)
  const { stdout } = await promisify(execFile)(process.execPath, [path, String(characters)], { timeout: growthsMsMax })
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line): Growth => JSON.parse(line))
}
