import type { Lifecycle } from './lifecycle.ts'
import type { Command, Event, State } from './provider.ts'

/** What each command leads to in each status of a provider. */
export const lifecycle: Lifecycle<Command, Event, State> = {
  none: {
    RegisterProvider: [{ events: ['ProviderRegistered'], next: 'registered' }, { refused: 'INPUT_INVALID' }],
    RenameProvider: [{ refused: 'INPUT_INVALID' }, { refused: 'PROVIDER_NOT_REGISTERED' }],
  },
  registered: {
    RegisterProvider: [{ refused: 'INPUT_INVALID' }, { refused: 'PROVIDER_ALREADY_REGISTERED' }],
    RenameProvider: [{ events: ['ProviderRenamed'], next: 'registered' }, 'nothing new', { refused: 'INPUT_INVALID' }],
  },
}
