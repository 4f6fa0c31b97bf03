import { z } from 'zod'
import { setting, urlOf, wholeNumber } from './setting.ts'

/** Settings: where the gateway listens. */
export const networkSettings = {
  HOST: setting(z.string().regex(/^[\w.:-]+$/), {
    description: 'The address to listen on. `0.0.0.0` opens the gateway to the network.',
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
  PUBLIC_URL: setting(urlOf('http', 'https'), {
    description: 'The address under which browsers and wallets see the gateway; sign-in messages are bound to it.',
    takes: 'an http:// or https:// address',
    example: 'https://gpu.example.com',
    unset: 'http:// with HOST and PORT',
  }),
}
