import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { decodeJwt, errors as joseErrors, jwtVerify, SignJWT } from 'jose'
import {
  compactSignatureToSignature,
  getAddress,
  hashMessage,
  isAddress,
  isHex,
  parseCompactSignature,
  serializeSignature,
  size,
  verifyMessage,
} from 'viem'
import { createSiweMessage, parseSiweMessage } from 'viem/siwe'
import { Failure, isRefusal, type Refusal, refuse } from '../../domain/errors.ts'
import { createBoundedMap, registerBound } from '../../infra/async/bounded.ts'
import type { Chain } from '../../infra/chain/port.ts'
import type { UsedNonces } from '../../infra/nonces/port.ts'

/** An access token, and the wallet that it authenticates. `wallet` is the address in lower case, the id of a user
 *  everywhere. */
export type Session = { readonly token: string; readonly wallet: string; readonly expiresAt: string }
/** The text that a wallet signs. */
export type SignInMessage = { readonly message: string; readonly expiresAt: string }

export type SignIn = {
  /** Resolves to the text that the wallet signs (EIP-4361). It is valid for one sign-in within five minutes. Refuses
   *  INPUT_INVALID. */
  message(address: string): Promise<SignInMessage | Refusal>
  /** Resolves to a token for a signed message. Each message signs in once. Refuses INPUT_INVALID,
   *  SIGN_IN_NONCE_UNKNOWN, SIGN_IN_SIGNATURE_INVALID, and SIGN_IN_BUSY where the contract wallets of the client at this
   *  address have their share of checks. */
  signIn(message: string, signature: string, address: string): Promise<Session | Refusal>
  /** Resolves to the wallet that a token authenticates. Throws TOKEN_INVALID. */
  verify(token: string): Promise<string>
  /** Returns for how many milliseconds a verified token still holds. */
  remainingMs(token: string): number
}

const nonceMs = 5 * 60 * 1000
const tokenSeconds = 12 * 60 * 60
const randomHexDigits = 32
/** A nonce is a random number and then the code (HMAC-SHA256, cut to 128 bits) of the message with that number. */
const nonceForm = /^[0-9a-f]{64}$/
export const messageCharactersMax = 2_000
/** That of a contract wallet may have several keys, or the call that makes the wallet. */
export const signatureCharactersMax = 8_000
/** The bytes of a signature by EIP-2098. */
const compactBytes = 64
const algorithm = 'HS256'
const issuer = 'neuralmesh'
const verifiedBound = registerBound({
  name: 'verified tokens',
  holds: 'The access tokens that were verified, so that the next request with one need not be; each to its end.',
  whenFull: 'evicts the oldest',
  entriesMax: 10_000,
})
const audience = 'neuralmesh-gateway'

/** Creates the sign-in with an Ethereum wallet (SIWE). `publicUrl` returns the URL of the gateway for clients: wallets
 *  show it, and a message for another host is refused. `hasSigned` resolves to whether a wallet that is a contract has
 *  signed a hash; without it, only wallets with a private key sign in. */
export const createSignIn = ({
  jwtSecret,
  publicUrl,
  chainId,
  usedNonces,
  hasSigned,
  now,
}: {
  readonly jwtSecret: string
  readonly publicUrl: () => string
  readonly chainId: number
  readonly usedNonces: UsedNonces
  readonly hasSigned?: Chain['hasSigned'] | undefined
  /** ISO 8601 in UTC. */
  readonly now: () => string
}): SignIn => {
  const key = new TextEncoder().encode(jwtSecret)
  // A key of its own, so that no code of a message is ever a signature of a token.
  const messageKey = createHmac('sha256', jwtSecret).update('sign-in message').digest()
  /** Returns the code of a message whose nonce is still the random number alone. */
  const codeOf = (text: string): string =>
    createHmac('sha256', messageKey).update(text).digest('hex').slice(0, randomHexDigits)

  const message: SignIn['message'] = async (address) => {
    if (!isAddress(address, { strict: false }))
      return refuse('INPUT_INVALID', { address: '0x and 40 hexadecimal digits' })
    const random = randomBytes(randomHexDigits / 2).toString('hex')
    const issuedAt = new Date(now())
    const expirationTime = new Date(issuedAt.getTime() + nonceMs)
    const about = { address, publicUrl: publicUrl(), chainId, issuedAt, expirationTime }
    const nonce = `${random}${codeOf(siweMessage({ ...about, nonce: random }))}`
    return { message: siweMessage({ ...about, nonce }), expiresAt: expirationTime.toISOString() }
  }

  const signIn: SignIn['signIn'] = async (text, signature, client) => {
    if (text.length > messageCharactersMax || signature.length > signatureCharactersMax)
      return refuse('INPUT_INVALID', { message: `at most ${messageCharactersMax} characters` })
    const { address, domain, nonce, expirationTime } = parseSiweMessage(text)
    if (!address || !domain || !nonce) return refuse('INPUT_INVALID', { message: 'a sign-in message (EIP-4361)' })
    const { host } = new URL(publicUrl())
    if (domain !== host) return refuse('SIGN_IN_SIGNATURE_INVALID', { domain, expected: host })
    if (!nonceForm.test(nonce) || !expirationTime || expirationTime.toISOString() <= now())
      return refuse('SIGN_IN_NONCE_UNKNOWN')
    // The code is of the whole text: so chain, address, host and times are those that this platform wrote.
    const [random, code] = [nonce.slice(0, randomHexDigits), nonce.slice(randomHexDigits)]
    if (!timingSafeEqual(Buffer.from(code), Buffer.from(codeOf(text.replace(nonce, random)))))
      return refuse('SIGN_IN_SIGNATURE_INVALID', { message: 'differs from the one that was given' })
    const signed =
      (await isSignedBy(address, text, signature)) || (await isSignedByContract(address, text, signature, client))
    if (isRefusal(signed)) return signed
    if (!signed) return refuse('SIGN_IN_SIGNATURE_INVALID', { address })
    // Stored only now: so each row needs a signature of the wallet.
    if (!(await usedNonces.use(nonce, expirationTime.toISOString()))) return refuse('SIGN_IN_NONCE_UNKNOWN')
    return session(address.toLowerCase())
  }

  const isSignedByContract = async (wallet: `0x${string}`, text: string, signature: string, client: string) =>
    hasSigned !== undefined && isHex(signature) && hasSigned(wallet, hashMessage(text), signature, client)

  const session = async (wallet: string): Promise<Session> => {
    const issuedAtSeconds = Math.floor(Date.parse(now()) / 1000)
    const expiresAtSeconds = issuedAtSeconds + tokenSeconds
    const token = await new SignJWT()
      .setProtectedHeader({ alg: algorithm })
      .setSubject(wallet)
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(issuedAtSeconds)
      .setExpirationTime(expiresAtSeconds)
      .sign(key)
    return { token, wallet, expiresAt: new Date(expiresAtSeconds * 1000).toISOString() }
  }

  const verified = createBoundedMap<{ readonly wallet: string; readonly expiresAtSeconds: number }>(verifiedBound)
  const verify: SignIn['verify'] = async (token) => {
    const known = verified.get(token)
    if (known && known.expiresAtSeconds > Math.floor(Date.parse(now()) / 1000)) return known.wallet
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        issuer,
        audience,
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'sub'],
      })
      if (payload.sub === undefined || !isAddress(payload.sub, { strict: false })) throw new Failure('TOKEN_INVALID')
      verified.set(token, { wallet: payload.sub, expiresAtSeconds: payload.exp ?? 0 })
      return payload.sub
    } catch (error) {
      if (error instanceof joseErrors.JWTExpired) throw new Failure('TOKEN_INVALID', { problem: 'it has expired' })
      if (error instanceof joseErrors.JOSEError) throw new Failure('TOKEN_INVALID')
      throw error
    }
  }

  const remainingMs: SignIn['remainingMs'] = (token) => (decodeJwt(token).exp ?? 0) * 1000 - Date.parse(now())

  return { message, signIn, verify, remainingMs }
}

const siweMessage = (about: {
  readonly address: string
  readonly publicUrl: string
  readonly chainId: number
  readonly nonce: string
  readonly issuedAt: Date
  readonly expirationTime: Date
}): string => {
  const { address, publicUrl, ...rest } = about
  try {
    return createSiweMessage({
      ...rest,
      address: getAddress(address),
      domain: new URL(publicUrl).host,
      uri: publicUrl,
      version: '1',
      statement: 'Sign in to NeuralMesh.',
    })
  } catch (error) {
    // Wallets accept IPv4 addresses, localhost and names with a dot, nothing else.
    throw new Failure('CONFIG_INVALID', { variable: 'PUBLIC_URL', value: publicUrl }, error)
  }
}

const isSignedBy = async (address: `0x${string}`, message: string, signature: string): Promise<boolean> => {
  if (!isHex(signature)) return false
  try {
    return await verifyMessage({ address, message, signature: widened(signature) })
  } catch {
    // The text does not have the form of a signature.
    return false
  }
}

/** Returns a compact signature (EIP-2098) in the usual form, and any other one as it is. */
const widened = (signature: `0x${string}`): `0x${string}` =>
  size(signature) === compactBytes
    ? serializeSignature(compactSignatureToSignature(parseCompactSignature(signature)))
    : signature
