import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../../domain/errors.ts'
import { errorCode } from '../../system/errors.ts'
import { storeOnce, unlessMissing } from '../../system/files.ts'
import { prepareRoot } from './folder.ts'

const idForm = /^[0-9a-f]{8}$/
const fix =
  'put it back from a backup, or write the 8 characters that stand after process: in the log lines of its jobs (cluster=process:…); remove it only where no job waits for this cluster: a new one is made then'

/** Resolves to the id in this file; undefined when there is no file. Throws KEY_FILE_INVALID for a file without one. */
const readId = async (file: string): Promise<string | undefined> => {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'EISDIR') return ''
    return unlessMissing(error)
  })
  const id = text?.trim()
  if (id === undefined || idForm.test(id)) return id
  throw new Failure('KEY_FILE_INVALID', { file, why: 'it does not hold the id of a cluster, 8 characters', fix })
}

/** Resolves to the id of the cluster, which is made at random with the folder and stored in it, whole or not at all: with
 *  another id the jobs of the folder would belong to no cluster. Throws KEY_FILE_INVALID for a damaged one. */
export const clusterIdOf = async (root: string): Promise<string> => {
  await prepareRoot(root)
  const path = join(root, '.cluster')
  const known = await readId(path)
  if (known !== undefined) return known
  await storeOnce(path, `${randomUUID().slice(0, 8)}\n`, 0o644)
  return (await readId(path)) ?? clusterIdOf(root)
}
