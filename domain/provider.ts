// A person or company that lists GPUs. Stream `provider-<wallet>`.
import { mustBe, type Refusal, refuse } from './errors.ts'

export type Command =
  | { readonly type: 'RegisterProvider'; readonly wallet: string; readonly name: string; readonly registeredAt: string }
  | { readonly type: 'RenameProvider'; readonly name: string }

export type Event =
  | {
      readonly type: 'ProviderRegistered'
      readonly wallet: string
      readonly name: string
      readonly registeredAt: string
    }
  | { readonly type: 'ProviderRenamed'; readonly name: string }

export type State =
  | { readonly status: 'none' }
  | { readonly status: 'registered'; readonly wallet: string; readonly name: string }

export const initial: State = { status: 'none' }

export const nameCharactersMax = 100

/** Returns the events that follow from a command, or a refusal. Pure. */
export function decide(command: Command, state: State): Event[] | Refusal {
  const name = command.name.trim()
  if (name.length < 1 || name.length > nameCharactersMax)
    return refuse('INPUT_INVALID', { name: `1 to ${nameCharactersMax} characters` })
  switch (command.type) {
    case 'RegisterProvider':
      if (state.status !== 'none') return refuse('PROVIDER_ALREADY_REGISTERED')
      return [{ ...command, type: 'ProviderRegistered', name }]
    case 'RenameProvider':
      if (state.status !== 'registered') return refuse('PROVIDER_NOT_REGISTERED')
      return state.name === name ? [] : [{ type: 'ProviderRenamed', name }]
  }
}

/** Folds one event. Throws only for a corrupt history, one that `decide` cannot produce. */
export function evolve(state: State, event: Event): State {
  switch (event.type) {
    case 'ProviderRegistered':
      mustBe(state, 'none')
      return { status: 'registered', wallet: event.wallet, name: event.name }
    case 'ProviderRenamed':
      return { ...mustBe(state, 'registered'), name: event.name }
  }
}
