import type { LocalAccount } from 'viem'
import type { Client } from './client.ts'

/** Signs a client in with a wallet: signs the message of the gateway and sets the token. Resolves to the token. Throws
 *  AnswerError. */
export const signIn = async (client: Client, wallet: LocalAccount): Promise<string> => {
  const { message } = await client.mutate<{ message: string }>('signInMessage', { address: wallet.address }, 'message')
  const signature = await wallet.signMessage({ message })
  const { token } = await client.mutate<{ token: string }>('signIn', { message, signature }, 'token')
  client.use(token)
  return token
}
