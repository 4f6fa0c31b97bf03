import { z } from 'zod'
import { setting, urlOf, wholeNumber } from './setting.ts'

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i
const isDomain = (host: string): boolean => {
  const labels = host.split('.')
  return labels.length > 1 && labels.every((each) => label.test(each))
}

/** Returns whether a sign-in message (EIP-4361) can name the host: it takes IPv4 addresses, localhost and names with a
 *  dot. */
const hasWalletHost = (text: string): boolean => {
  if (!URL.canParse(text)) return false
  const { hostname } = new URL(text)
  return hostname === 'localhost' || isDomain(hostname)
}

/** Settings: where the gateway listens. */
export const networkSettings = {
  HOST: setting(z.string().regex(/^[\w.:-]+$/), {
    description:
      'The address to listen on; of a name with several, the first. `0.0.0.0` opens the gateway to the network.',
    takes: 'an IP address or a host name',
    example: '0.0.0.0',
    unset: '127.0.0.1',
  }),
  PORT: setting(wholeNumber(0, 65535), {
    description: 'The port of the gateway. 0 takes any free one.',
    takes: 'a whole number from 0 to 65535',
    example: '8080',
    unset: '4000',
  }),
  PUBLIC_URL: setting(urlOf('http', 'https').refine(hasWalletHost), {
    description: 'The address under which browsers and wallets see the gateway; sign-in messages are bound to it.',
    takes: 'an http:// or https:// address of localhost, an IPv4 address or a name with a dot, as wallets accept it',
    example: 'https://gpu.example.com',
    unset: 'http:// with HOST and PORT',
  }),
}
