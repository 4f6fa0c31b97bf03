/** Refusals and failures: identity and input. */
export const identityErrors = {
  NOT_SIGNED_IN: {
    message: 'This needs a signed-in wallet.',
    hint: 'Call signIn and send the token as "Authorization: Bearer …".',
  },
  NOT_YOURS: { message: 'This belongs to another user.', hint: 'Sign in with the wallet that owns it.' },
  PRIVILEGE_NEEDED: {
    message: 'This needs a privilege that your wallet does not have.',
    hint: 'The operator of the platform grants it by naming the wallet in OPERATORS, AUDITORS or ANALYSTS.',
  },
  SIGN_IN_NONCE_UNKNOWN: {
    message: 'The sign-in nonce is unknown, used or expired.',
    hint: 'Request a new signInMessage and sign it.',
  },
  SIGN_IN_SIGNATURE_INVALID: {
    message: 'The signature does not match the sign-in message.',
    hint: 'Sign the message without changing it, with the wallet that it names.',
  },
  SIGN_IN_BUSY: {
    message: 'Too many signatures of contract wallets wait to be checked.',
    hint: 'Wait a moment and repeat signIn with the same message and signature; other wallets sign in meanwhile.',
  },
  TOKEN_INVALID: { message: 'The token is invalid or has expired.', hint: 'Sign in again.' },
  INPUT_INVALID: { message: 'The input is not valid.', hint: 'See the details for the field and its valid values.' },
  IDEMPOTENCY_KEY_REUSED: {
    message: 'This idempotency key was used for another request.',
    hint: 'Use a new key for a new request, and the same key only to repeat a request.',
  },
} as const
