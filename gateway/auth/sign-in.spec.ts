import { beforeEach, describe, expect, test } from '@jest/globals'
import { SignJWT } from 'jose'
import { parseSignature, serializeCompactSignature, signatureToCompactSignature, size } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { isRefusal, refuse } from '../../domain/errors.ts'
import type { Chain } from '../../infra/chain/port.ts'
import { createSignIn, type SignIn } from './sign-in.ts'
import { tokenOfConnection, tokenOfHeader } from './token.ts'
import { usedNoncesInMemory } from './used-nonces.testing.ts'

const guest = '192.0.2.1'
const jwtSecret = 'a secret for tests that is long enough'
const ada = privateKeyToAccount(generatePrivateKey())
const eve = privateKeyToAccount(generatePrivateKey())
let time: number
let signIn: SignIn
let nonces: ReturnType<typeof usedNoncesInMemory>

const signInAt = (publicUrl: string, secret = jwtSecret, hasSigned?: Chain['hasSigned']) =>
  createSignIn({
    jwtSecret: secret,
    publicUrl: () => publicUrl,
    chainId: 31337,
    usedNonces: nonces,
    hasSigned,
    now: () => new Date(time).toISOString(),
  })
const messageFor = async (address: string, from = signIn): Promise<string> => {
  const answer = await from.message(address)
  if (isRefusal(answer)) throw new Error(answer.refused)
  return answer.message
}
const sessionOf = async (account = ada) => {
  const message = await messageFor(account.address)
  const answer = await signIn.signIn(message, await account.signMessage({ message }), guest)
  if (isRefusal(answer)) throw new Error(answer.refused)
  return answer
}

beforeEach(() => {
  time = Date.parse('2026-01-01T00:00:00.000Z')
  nonces = usedNoncesInMemory()
  signIn = signInAt('https://gpu.example.com')
})

describe('the message', () => {
  test('names the host, the wallet and the chain, and expires after five minutes', async () => {
    const message = await messageFor(ada.address.toLowerCase())
    expect(message).toContain(`gpu.example.com wants you to sign in with your Ethereum account:\n${ada.address}\n`)
    expect(message).toContain('URI: https://gpu.example.com\n')
    expect(message).toContain('Chain ID: 31337\n')
    expect(message).toMatch(/Nonce: [0-9a-f]{64}\n/)
    expect(message).toMatch(/Expiration Time: 2026-01-01T00:05:00.000Z$/)
  })

  test('is different each time', async () => {
    expect(await messageFor(ada.address)).not.toBe(await messageFor(ada.address))
  })

  test('is refused for an invalid address', async () => {
    expect(await signIn.message('0x12')).toMatchObject({ refused: 'INPUT_INVALID' })
  })

  test('cannot be made for a host that no wallet accepts; the failure names the setting', async () => {
    const unfit = signInAt('http://gateway:4000')
    await expect(unfit.message(ada.address)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { variable: 'PUBLIC_URL', value: 'http://gateway:4000' },
    })
  })
})

describe('signing in', () => {
  test('gives a token for the wallet in lower case, valid for twelve hours', async () => {
    const session = await sessionOf()
    expect(session).toMatchObject({ wallet: ada.address.toLowerCase(), expiresAt: '2026-01-01T12:00:00.000Z' })
    expect(await signIn.verify(session.token)).toBe(ada.address.toLowerCase())
  })

  test('accepts the compact form of a signature (EIP-2098)', async () => {
    const message = await messageFor(ada.address)
    const signature = parseSignature(await ada.signMessage({ message }))
    const compact = serializeCompactSignature(signatureToCompactSignature(signature))
    expect(size(compact)).toBe(64)
    expect(await signIn.signIn(message, compact, guest)).toMatchObject({ wallet: ada.address.toLowerCase() })
    const other = await messageFor(ada.address)
    expect(await signIn.signIn(other, compact, guest)).toMatchObject({ refused: 'SIGN_IN_SIGNATURE_INVALID' })
  })

  test.each([
    '0x',
    '0x00',
    `0x${'00'.repeat(64)}`,
    `0x${'ff'.repeat(64)}`,
    `0x${'ff'.repeat(65)}`,
    `0x${'1'.repeat(127)}`,
  ])('refuses %s as no signature', async (signature) => {
    expect(await signIn.signIn(await messageFor(ada.address), signature, guest)).toMatchObject({
      refused: 'SIGN_IN_SIGNATURE_INVALID',
    })
  })

  test('accepts a message once, also when it is sent twice at the same time', async () => {
    const message = await messageFor(ada.address)
    const signature = await ada.signMessage({ message })
    const answers = await Promise.all([
      signIn.signIn(message, signature, guest),
      signIn.signIn(message, signature, guest),
    ])
    expect(answers.map((answer) => (isRefusal(answer) ? answer.refused : 'signed in'))).toEqual([
      'signed in',
      'SIGN_IN_NONCE_UNKNOWN',
    ])
  })

  test('a wrong signature leaves no trace, and the message can still be used', async () => {
    const message = await messageFor(ada.address)
    const refused = await signIn.signIn(message, await eve.signMessage({ message }), guest)
    expect([refused, nonces.used]).toMatchObject([{ refused: 'SIGN_IN_SIGNATURE_INVALID' }, []])
    expect(await signIn.signIn(message, await ada.signMessage({ message }), guest)).toMatchObject({
      wallet: ada.address.toLowerCase(),
    })
    expect(nonces.used).toHaveLength(1)
  })

  test('accepts a message after any number of others were asked for, at another gateway too', async () => {
    const message = await messageFor(ada.address)
    for (let count = 0; count < 25_000; count++) await signIn.message(eve.address)
    expect(
      await signInAt('https://gpu.example.com').signIn(message, await ada.signMessage({ message }), guest),
    ).toMatchObject({ wallet: ada.address.toLowerCase() })
    expect(nonces.used).toHaveLength(1)
  })

  test('refuses a message of a platform with another secret', async () => {
    const message = await messageFor(ada.address, signInAt('https://gpu.example.com', `another ${jwtSecret}`))
    expect(await signIn.signIn(message, await ada.signMessage({ message }), guest)).toMatchObject({
      refused: 'SIGN_IN_SIGNATURE_INVALID',
    })
  })

  test.each(['0x', '0x1234', 'no hex', `0x${'ff'.repeat(65)}`])('refuses the signature %s', async (signature) => {
    expect(await signIn.signIn(await messageFor(ada.address), signature, guest)).toMatchObject({
      refused: 'SIGN_IN_SIGNATURE_INVALID',
    })
  })

  test.each([
    ['0'.repeat(32), 'SIGN_IN_NONCE_UNKNOWN'],
    ['0'.repeat(64), 'SIGN_IN_SIGNATURE_INVALID'],
  ])('refuses the nonce %s, which was never issued', async (nonce, refused) => {
    const message = (await messageFor(ada.address)).replace(/Nonce: .*/, `Nonce: ${nonce}`)
    expect(await signIn.signIn(message, await ada.signMessage({ message }), guest)).toMatchObject({ refused })
  })

  test('refuses a message after five minutes', async () => {
    const message = await messageFor(ada.address)
    time += 5 * 60 * 1000
    expect(await signIn.signIn(message, await ada.signMessage({ message }), guest)).toMatchObject({
      refused: 'SIGN_IN_NONCE_UNKNOWN',
    })
  })

  test('refuses a message for another host, also with a valid signature', async () => {
    const message = await messageFor(ada.address, signInAt('https://phish.example.com'))
    expect(await signIn.signIn(message, await ada.signMessage({ message }), guest)).toMatchObject({
      refused: 'SIGN_IN_SIGNATURE_INVALID',
      details: { domain: 'phish.example.com', expected: 'gpu.example.com' },
    })
  })

  test.each([
    { what: 'wallet', from: ada.address, to: eve.address, signer: eve },
    { what: 'chain', from: 'Chain ID: 31337', to: 'Chain ID: 1', signer: ada },
    { what: 'end', from: '2026-01-01T00:05:00.000Z', to: '2027-01-01T00:00:00.000Z', signer: ada },
  ])('refuses a message whose $what was changed before signing', async ({ from, to, signer }) => {
    const message = (await messageFor(ada.address)).replace(from, to)
    expect(await signIn.signIn(message, await signer.signMessage({ message }), guest)).toMatchObject({
      refused: 'SIGN_IN_SIGNATURE_INVALID',
    })
  })

  test('says when too many checks of contract wallets wait, and the message stays valid', async () => {
    const asked: string[] = []
    const busy = signInAt('https://gpu.example.com', jwtSecret, async (_wallet, _hash, _signature, address) => {
      asked.push(address)
      return asked.length > 1 || refuse('SIGN_IN_BUSY')
    })
    const message = await messageFor(ada.address)
    expect(await busy.signIn(message, '0x12', guest)).toMatchObject({ refused: 'SIGN_IN_BUSY' })
    expect(await busy.signIn(message, '0x12', guest)).toMatchObject({ wallet: ada.address.toLowerCase() })
    expect(asked).toEqual([guest, guest])
  })

  test.each(['', 'hello', 'x'.repeat(2_001)])('refuses a text that is not a sign-in message', async (message) => {
    expect(await signIn.signIn(message, '0x12', guest)).toMatchObject({ refused: 'INPUT_INVALID' })
  })
})

describe('a token', () => {
  const forged = (change: (token: SignJWT) => SignJWT, secret = jwtSecret, algorithm = 'HS256') =>
    change(
      new SignJWT()
        .setProtectedHeader({ alg: algorithm })
        .setSubject(ada.address.toLowerCase())
        .setIssuer('neuralmesh')
        .setAudience('neuralmesh-gateway')
        .setExpirationTime(time / 1000 + 60),
    ).sign(new TextEncoder().encode(secret))

  test('of the right shape is accepted', async () => {
    expect(await signIn.verify(await forged((token) => token))).toBe(ada.address.toLowerCase())
  })

  test.each<[string, () => Promise<string>]>([
    ['is no token', async () => 'abc'],
    ['was signed with another secret', () => forged((token) => token, 'another secret that is long enough')],
    ['was signed with another algorithm', () => forged((token) => token, jwtSecret.repeat(2), 'HS512')],
    ['comes from another issuer', () => forged((token) => token.setIssuer('someone'))],
    ['is for another audience', () => forged((token) => token.setAudience('someone'))],
    ['names no wallet', () => forged((token) => token.setSubject('ada'))],
    ['has expired', () => forged((token) => token.setExpirationTime(time / 1000 - 1))],
  ])('that %s is refused', async (_what, token) => {
    await expect(signIn.verify(await token())).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
  })

  test('expires after twelve hours', async () => {
    const { token } = await sessionOf()
    time += 12 * 60 * 60 * 1000 - 1000
    expect(await signIn.verify(token)).toBe(ada.address.toLowerCase())
    time += 1000
    await expect(signIn.verify(token)).rejects.toMatchObject({
      code: 'TOKEN_INVALID',
      details: { problem: 'it has expired' },
    })
  })
})

describe('the token', () => {
  test('in the Authorization header', () => {
    expect([tokenOfHeader('Bearer abc'), tokenOfHeader('bearer  abc'), tokenOfHeader(null), tokenOfHeader('')]).toEqual(
      ['abc', 'abc', undefined, undefined],
    )
    for (const header of ['Basic abc', 'abc', 'Bearer', 'Bearer a b'])
      expect(() => tokenOfHeader(header)).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }))
  })

  test('in connection_init, under authorization or token', () => {
    expect(tokenOfConnection({ authorization: 'Bearer abc' })).toBe('abc')
    expect(tokenOfConnection({ Authorization: 'Bearer abc' })).toBe('abc')
    expect(tokenOfConnection({ token: 'abc' })).toBe('abc')
    expect(tokenOfConnection({})).toBeUndefined()
    expect(tokenOfConnection(undefined)).toBeUndefined()
    for (const parameters of [{ token: 1 }, { authorization: { a: 1 } }, { authorization: 'Basic abc' }])
      expect(() => tokenOfConnection(parameters)).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID' }))
  })
})
