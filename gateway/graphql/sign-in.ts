import { messageCharactersMax, type Session, type SignInMessage, signatureCharactersMax } from '../auth/sign-in.ts'
import { builder } from './builder.ts'
import { limited } from './input-limits.ts'
import { payloadOf } from './payloads.ts'

const MessageSuccess = builder.objectRef<SignInMessage>('SignInMessageSuccess')
MessageSuccess.implement({
  fields: (t) => ({
    message: t.exposeString('message', { description: 'The text that the wallet signs, unchanged.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
})

const SignInMessageInput = builder.inputType('SignInMessageInput', {
  fields: (t) => ({ address: t.string({ required: true, description: '0x and 40 hexadecimal digits.' }) }),
})

builder.mutationField('signInMessage', (t) =>
  t.field({
    type: payloadOf('SignInMessage', MessageSuccess),
    description: 'Returns the message (EIP-4361) that a wallet signs to sign in. It is valid once, for five minutes.',
    args: { input: t.arg({ type: SignInMessageInput, required: true }) },
    resolve: (_, { input: { address } }, { signIn }) => signIn.message(address),
  }),
)

const SignInSuccess = builder.objectRef<Session>('SignInSuccess')
SignInSuccess.implement({
  fields: (t) => ({
    token: t.exposeString('token', { description: 'Send it as "Authorization: Bearer …".' }),
    wallet: t.exposeID('wallet', { description: 'In lower case.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
})

const SignInInput = builder.inputType('SignInInput', {
  fields: (t) => ({
    message: t.string({ required: true, ...limited({ charactersMax: messageCharactersMax }) }),
    signature: t.string({
      required: true,
      description:
        'The result of personal_sign, in hex: 65 bytes, 64 bytes (EIP-2098), or what a contract wallet accepts (ERC-1271, ERC-6492).',
      ...limited({ charactersMax: signatureCharactersMax }),
    }),
  }),
})

builder.mutationField('signIn', (t) =>
  t.field({
    type: payloadOf('SignIn', SignInSuccess),
    description:
      'Returns a token for a signed message. Refuses SIGN_IN_NONCE_UNKNOWN, SIGN_IN_SIGNATURE_INVALID, SIGN_IN_BUSY.',
    args: { input: t.arg({ type: SignInInput, required: true }) },
    resolve: (_, { input: { message, signature } }, { signIn, client }) =>
      signIn.signIn(message, signature, client.address),
  }),
)
