// The type of the lifecycle tables. Each aggregate has one beside it: `rental.lifecycle.ts` beside `rental.ts`.
// lifecycle.spec.ts holds each table equal to `decide` and `evolve`; docs/lifecycles.md is printed from the tables.
import type { ErrorCode } from './errors.ts'

/** What a command can lead to in one status:
 *  - `events` are stored, in this order, and `next` is the status after the last one. A stored refusal (HoldRefused,
 *    CapacityRefused) also has the code that it carries.
 *  - `refused` alone is a refusal, which stores nothing.
 *  - `nothing new` accepts the command and stores nothing. */
export type Outcome<Status extends string, EventType extends string> =
  | { readonly events: readonly [EventType, ...EventType[]]; readonly next: Status; readonly refused?: ErrorCode }
  | { readonly refused: ErrorCode }
  | 'nothing new'

/** All outcomes of each command in each status. Which of them happens depends on the details of state and command.
 *  Leaving out a status or a command does not compile. */
export type Lifecycle<
  Command extends { readonly type: string },
  Event extends { readonly type: string },
  State extends { readonly status: string },
> = Readonly<Record<State['status'], LifecycleRow<Command, Event, State>>>

/** All outcomes of each command in one status. */
export type LifecycleRow<
  Command extends { readonly type: string },
  Event extends { readonly type: string },
  State extends { readonly status: string },
> = Readonly<Record<Command['type'], readonly Outcome<State['status'], Event['type']>[]>>
