import { createPublicClient, http, type PublicClient } from 'viem'
import { checkedTransport } from './rpc/answers.ts'
import { fetchSized } from './rpc/sized.ts'

/** Makes a client that reads the answers of a node as the chain does, each once.
 *  @param answerOf returns the next answer
 *  @param sized as over HTTP; over a socket the library parses each text before it can be measured */
export const clientOf = (answerOf: () => string, sized: boolean): PublicClient => {
  const answering: typeof fetch = async () => new Response(answerOf())
  const transport = http('http://node.example', { fetchFn: sized ? fetchSized(answering) : answering, retryCount: 0 })
  return createPublicClient({ transport: checkedTransport(transport, 'checked') })
}
