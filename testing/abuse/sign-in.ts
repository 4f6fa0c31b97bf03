// What one guest asks for so often that another might not be able to sign in.
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { type Attack, ask, bystanderAddress, onlyCodes, times, unless } from './attack.ts'

const messageFor = `mutation ($input: SignInMessageInput!) {
  signInMessage(input: $input) { ... on SignInMessageSuccess { message } ... on Error { code } } }`
const signIn = `mutation ($input: SignInInput!) {
  signIn(input: $input) { ... on SignInSuccess { token } ... on Error { code } } }`

const messages: Attack = {
  name: '20,000 sign-in messages while another signs in',
  run: async (target) => {
    const other = { from: bystanderAddress }
    const account = privateKeyToAccount(generatePrivateKey())
    const asked = await ask(target, messageFor, { input: { address: account.address } }, other)
    const { message } = asked.data.signInMessage as { message: string }
    const signature = await account.signMessage({ message })
    const flood = await times(target.much(20_000, 500), 50, () =>
      ask(target, messageFor, { input: { address: privateKeyToAccount(generatePrivateKey()).address } }),
    )
    const signed = await ask(target, signIn, { input: { message, signature } }, other)
    const again = await ask(target, signIn, { input: { message, signature } }, other)
    return [
      ...onlyCodes(flood, [undefined]),
      ...unless(signed.data?.signIn.token !== undefined, `the other could not sign in: ${signed.text.slice(0, 200)}`),
      ...unless(again.data?.signIn.token === undefined, 'one message signed in twice'),
    ]
  },
}

const badSignatures: Attack = {
  name: '5,000 sign-ins with a wrong signature',
  run: async (target) => {
    const account = privateKeyToAccount(generatePrivateKey())
    const asked = await ask(target, messageFor, { input: { address: account.address } })
    const { message } = asked.data.signInMessage as { message: string }
    const wrong = [`0x${'11'.repeat(65)}`, `0x${'22'.repeat(64)}`, '0x', `0x${'ff'.repeat(3_000)}`]
    const answers = await times(target.much(5_000, 200), 20, (index) =>
      ask(target, signIn, { input: { message, signature: wrong[index % wrong.length] } }),
    )
    const got = answers.filter(({ data }) => data?.signIn?.token !== undefined).length
    const signed = await ask(target, signIn, { input: { message, signature: await account.signMessage({ message }) } })
    return [
      ...unless(got === 0, `${got} wrong signatures got a token`),
      ...unless(signed.data?.signIn.token !== undefined, 'wrong signatures used up the message of its owner'),
    ]
  },
}

export const signInAttacks: readonly Attack[] = [messages, badSignatures]
