import { setting, wholeNumber } from './setting.ts'

/** Settings: what clients of the gateway may use at once. */
export const gatewaySettings = {
  PROXIES: setting(wholeNumber(0, 10), {
    description:
      'How many proxies of yours stand before the gateway. The address of a client is then the one that the outermost of them has seen (`X-Forwarded-For`); without it, all clients behind a proxy share the limits of one address.',
    takes: 'a whole number from 0 to 10',
    example: '1',
    unset: '0: the address of the connection counts',
  }),
  CONNECTIONS_PER_ADDRESS: setting(wholeNumber(1, 100_000), {
    description: 'How many WebSockets, and how many HTTP requests at once, one address may have.',
    takes: 'a whole number from 1 to 100000',
    example: '5000',
    unset: '300',
  }),
  OPERATIONS_PER_ADDRESS: setting(wholeNumber(1, 100_000), {
    description: 'How many operations over WebSocket, subscriptions included, one address may run at once.',
    takes: 'a whole number from 1 to 100000',
    example: '5000',
    unset: '500',
  }),
}
