import type { Database } from '../postgres.ts'

const READ = `select name, position from ops.consumers order by name`
const MOVE = `update ops.consumers set position = $2 where name = $1`
const FORGET = `delete from ops.consumers where name = $1`

/** Resolves to the position of each consumer of the embedded bus. */
export const readConsumers = ({
  query,
}: Pick<Database, 'query'>): Promise<readonly { readonly name: string; readonly position: string }[]> =>
  query('bus.consumers', READ)

/** Sets a consumer to a position, also to an earlier one; without a position to the beginning of the log. No process may
 *  run it. */
export const setConsumer = async (
  { query }: Pick<Database, 'query'>,
  name: string,
  position: string | undefined,
): Promise<void> => {
  if (position === undefined) await query('bus.forget', FORGET, [name])
  else await query('bus.set', MOVE, [name, position])
}
