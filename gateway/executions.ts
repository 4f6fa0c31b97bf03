import { type ExecutionArgs, getOperationAST, OperationTypeNode } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Failure } from '../domain/errors.ts'
import { createFairTurns } from '../infra/async/fair-turns.ts'
import { createPlaces } from '../infra/async/places.ts'
import { graphQLErrorOf } from './graphql/mask.ts'

/** What a transport knows of the client of a request. */
export type Client = {
  readonly address: string
  /** Returns whether the client has left, so that no answer can reach it. */
  readonly hasLeft: () => boolean
  /** Takes the bytes of an answer from the quotas of the client, until it has taken the answer. Returns false when a
   *  quota would be exceeded. */
  readonly keep: (bytes: number) => boolean
  /** Called when the request turns out to be a subscription, whose answers have no end. */
  readonly onStream?: () => void
}

/** How many operations of one address are executed at the same time; others of their kind wait for them, in their order.
 *  Each may ask the database for many things at once, and other clients are answered after that. A mutation mostly waits
 *  for the log, and many renters may share an address. */
export const [queriesPerAddressMax, mutationsPerAddressMax] = [4, 16]
/** A longer answer waits for its turn before it is written: a megabyte of JSON takes the event loop some milliseconds. */
const answerAtOnceBytesMax = 256 * 1024

/** Lets an address execute so many queries and mutations at the same time, and begins none for a client that has left. A
 *  mutation that has begun goes on to its end. */
export const executionsPlugin = (): Plugin<{
  readonly client: Client
  readonly answer: { readonly bytes: number }
}> => {
  const places = {
    [OperationTypeNode.QUERY]: createPlaces(queriesPerAddressMax),
    [OperationTypeNode.MUTATION]: createPlaces(mutationsPerAddressMax),
  }
  const turn = createFairTurns()
  return {
    onExecute: ({ executeFn, setExecuteFn, args }) => {
      const { client, answer } = args.contextValue
      const answerOf = async (given: ExecutionArgs) => {
        const result = await executeFn(given)
        if (answer.bytes > answerAtOnceBytesMax) await turn(client.address)
        return client.keep(answer.bytes) ? result : { errors: [graphQLErrorOf(new Failure('TOO_MANY_REQUESTS'))] }
      }
      setExecuteFn(async (given) => {
        const kind = kindOf(given)
        if (kind === undefined || kind === OperationTypeNode.SUBSCRIPTION) return answerOf(given)
        return places[kind](client.address, async () => (client.hasLeft() ? { data: null } : answerOf(given)))
      })
    },
    onSubscribe: ({ args }) => args.contextValue.client.onStream?.(),
  }
}

const kindOf = ({ document, operationName }: ExecutionArgs): OperationTypeNode | undefined =>
  getOperationAST(document, operationName)?.operation
