import { systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import { type Commands, requestEnvelope } from '../commands/execute.ts'
import type { EventOf } from '../domain/aggregates.ts'
import { Failure, isRefusal } from '../domain/errors.ts'

type Dependencies = {
  readonly commands: Commands
  /** ISO 8601 in UTC. */
  readonly now: () => string
}

/** Records in the rental that a job has ended. Does nothing for a job that has not. Resolves to the rental; to undefined
 *  for a job that was never submitted. */
export const closeJob = async (dependencies: Dependencies, job: string): Promise<string | undefined> => {
  const { commands } = dependencies
  const { state, last } = await commands.current('job', job)
  if (state.status === 'none') return undefined
  const closedAt = last && endOf(last.event)
  const { state: rental } = await commands.current('rental', state.rental)
  const isOpen = 'openJobs' in rental && rental.openJobs.has(job)
  if (isOpen && closedAt !== undefined) await close(dependencies, state.rental, job, closedAt)
  return state.rental
}

/** Closes the jobs of a rental that have ended by a fact in the log. Of a rental that is ending, also those that were
 *  admitted and never submitted: from then on they cannot be. */
export const closeEndedJobs = async (dependencies: Dependencies, rental: string): Promise<void> => {
  const { commands, now } = dependencies
  const { state } = await commands.current('rental', rental)
  if (!('openJobs' in state)) return
  for (const job of state.openJobs.keys()) {
    const { state: jobState, last } = await commands.current('job', job)
    const isMissing = jobState.status === 'none' && state.status === 'ending'
    const closedAt = isMissing ? now() : last && endOf(last.event)
    if (closedAt !== undefined) await close(dependencies, rental, job, closedAt)
  }
}

const close = async ({ commands, now }: Dependencies, rental: string, job: string, closedAt: string): Promise<void> => {
  const { first } = await commands.current('rental', rental)
  const envelope = requestEnvelope(commandIds.closeJob(rental, job), systemActors.meter, now(), first?.correlationId)
  const answer = await commands.execute('rental', rental, { type: 'CloseJob', job, closedAt }, envelope)
  if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
}

/** Returns when the job ended, or undefined while it has not. */
const endOf = (event: EventOf<'job'>): string | undefined =>
  event.type === 'JobSucceeded' || event.type === 'JobFailed' || event.type === 'JobStopped' ? event.endedAt : undefined
