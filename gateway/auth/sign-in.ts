import { randomBytes } from 'node:crypto'
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose'
import { getAddress, isAddress, isHex, verifyMessage } from 'viem'
import { createSiweMessage, parseSiweMessage } from 'viem/siwe'
import { Failure, type Refusal, refuse } from '../../domain/errors.ts'
import type { Cache } from '../../infra/cache/port.ts'

/** An access token, and the wallet that it authenticates. `wallet` is the address in lower case, the id of a user
 *  everywhere. */
export type Session = { readonly token: string; readonly wallet: string; readonly expiresAt: string }
/** The text that a wallet signs. */
export type SignInMessage = { readonly message: string; readonly expiresAt: string }

export type SignIn = {
  /** Resolves to the text that the wallet signs (EIP-4361). It is valid for one sign-in within five minutes. Refuses
   *  INPUT_INVALID. */
  message(address: string): Promise<SignInMessage | Refusal>
  /** Resolves to a token for a signed message. Each message can be tried once. Refuses INPUT_INVALID,
   *  SIGN_IN_NONCE_UNKNOWN, SIGN_IN_SIGNATURE_INVALID. */
  signIn(message: string, signature: string): Promise<Session | Refusal>
  /** Resolves to the wallet that a token authenticates. Throws TOKEN_INVALID. */
  verify(token: string): Promise<string>
}

const nonceMs = 5 * 60 * 1000
const tokenSeconds = 12 * 60 * 60
const nonceBytes = 16
export const messageCharactersMax = 2_000
export const signatureCharactersMax = 500
const algorithm = 'HS256'
const issuer = 'neuralmesh'
const audience = 'neuralmesh-gateway'

/** Creates the sign-in with an Ethereum wallet (SIWE). `publicUrl` returns the URL of the gateway for clients: wallets
 *  show it, and a message for another host is refused. A wallet needs a private key: contract wallets (EIP-1271) are
 *  not supported. */
export const createSignIn = ({
  jwtSecret,
  publicUrl,
  chainId,
  nonces,
  now,
}: {
  readonly jwtSecret: string
  readonly publicUrl: () => string
  readonly chainId: number
  readonly nonces: Cache
  /** ISO 8601 in UTC. */
  readonly now: () => string
}): SignIn => {
  const key = new TextEncoder().encode(jwtSecret)

  const message: SignIn['message'] = async (address) => {
    if (!isAddress(address, { strict: false }))
      return refuse('INPUT_INVALID', { address: '0x and 40 hexadecimal digits' })
    const nonce = randomBytes(nonceBytes).toString('hex')
    const issuedAt = new Date(now())
    const expirationTime = new Date(issuedAt.getTime() + nonceMs)
    const text = siweMessage({ address, publicUrl: publicUrl(), chainId, nonce, issuedAt, expirationTime })
    await nonces.set(nonceKey(nonce), text, nonceMs)
    return { message: text, expiresAt: expirationTime.toISOString() }
  }

  const signIn: SignIn['signIn'] = async (text, signature) => {
    if (text.length > messageCharactersMax || signature.length > signatureCharactersMax)
      return refuse('INPUT_INVALID', { message: `at most ${messageCharactersMax} characters` })
    const { address, domain, nonce, expirationTime } = parseSiweMessage(text)
    if (!address || !domain || !nonce) return refuse('INPUT_INVALID', { message: 'a sign-in message (EIP-4361)' })
    const { host } = new URL(publicUrl())
    if (domain !== host) return refuse('SIGN_IN_SIGNATURE_INVALID', { domain, expected: host })
    // The nonce is taken before any other check, so that no message can be tried twice.
    const issued = await nonces.take(nonceKey(nonce))
    if (issued === undefined || !expirationTime || expirationTime.toISOString() <= now())
      return refuse('SIGN_IN_NONCE_UNKNOWN')
    // The whole text is compared: so chain, address, host and times are those that this gateway wrote.
    if (issued !== text) return refuse('SIGN_IN_SIGNATURE_INVALID', { message: 'differs from the one that was given' })
    if (!(await isSignedBy(address, text, signature))) return refuse('SIGN_IN_SIGNATURE_INVALID', { address })
    return session(address.toLowerCase())
  }

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

  const verify: SignIn['verify'] = async (token) => {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [algorithm],
        issuer,
        audience,
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'sub'],
      })
      if (payload.sub === undefined || !isAddress(payload.sub, { strict: false })) throw new Failure('TOKEN_INVALID')
      return payload.sub
    } catch (error) {
      if (error instanceof joseErrors.JWTExpired) throw new Failure('TOKEN_INVALID', { problem: 'it has expired' })
      if (error instanceof joseErrors.JOSEError) throw new Failure('TOKEN_INVALID')
      throw error
    }
  }

  return { message, signIn, verify }
}

const nonceKey = (nonce: string) => `sign-in:${nonce}`

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
    return await verifyMessage({ address, message, signature })
  } catch {
    // The text does not have the form of a signature.
    return false
  }
}
