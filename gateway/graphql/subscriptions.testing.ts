import type { Client } from 'graphql-ws'

/** Subscribes, and resolves to the code of the first error; undefined when the first answer has none. Closes the
 *  client. */
export const subscriptionErrorCode = async (
  client: Client,
  query: string,
  variables: Record<string, unknown>,
): Promise<unknown> => {
  try {
    for await (const { errors } of client.iterate({ query, variables })) return errors?.[0]?.extensions?.code
    return undefined
  } catch (error) {
    return (error as { extensions?: { code: string } }[])[0]?.extensions?.code
  } finally {
    await client.dispose()
  }
}
