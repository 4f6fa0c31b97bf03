import { cpus, totalmem } from 'node:os'
import { figure } from './proof.ts'
import type { Kills, Progress, Verdict } from './run.ts'

const clock = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`

const total = (kills: Kills): number => Object.values(kills).reduce((sum, count) => sum + count, 0)

const named = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .map(([name, count]) => `${name} ${figure(count)}`)
    .join(', ')

/** Returns one line of progress. */
export const progressLine = (progress: Progress): string => {
  if (progress.phase === 'coming to rest') return 'coming to rest'
  if (progress.phase === 'proving') return `proving: ${figure(progress.events)} events read`
  const { seconds, events, kills, lagSeconds } = progress
  const lag = lagSeconds
    ? `lag: tail ${lagSeconds.tail.toFixed(1)} s, projections ${lagSeconds.projections.toFixed(1)} s`
    : 'a server is away'
  return `${clock(seconds)}  ${figure(events)} events  ${total(kills)} kills (${named(kills)})  ${lag}`
}

/** Returns what the run was and what it proved, for people and for a page. */
export const summary = (verdict: Verdict): string => {
  const { seed, seconds, restSeconds, proveSeconds, kills, restarts, nodes, rentals, events, streams, appends } =
    verdict
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}, Node ${process.versions.node}`
  const lines = [
    `chaos          ${clock(seconds)} min of kills, then ${restSeconds.toFixed(0)} s to finish and ${proveSeconds.toFixed(0)} s to prove; seed ${seed}`,
    `machine        ${machine}; PostgreSQL 18 with synced commits`,
    `kills          ${figure(total(kills))}: ${named(kills)}; ${figure(restarts)} processes started again`,
    `log            ${figure(events)} events in ${figure(streams)} streams, ${figure(Math.round(events / Math.max(1, seconds)))} events/s; rentals: ${named(rentals)}`,
  ]
  if (nodes) {
    const { count, version, starts, endedThemselves } = nodes
    lines.push(
      `event store    ${count === 1 ? 'one node' : `${count} nodes`} of ${version}, started again ${figure(starts)} times, ${figure(endedThemselves)} after ending by themselves`,
    )
  }
  if (appends) {
    const { storedBefore, storedByRetry, refusedAtRetry, leftWhole, leftAbsent } = appends.unknown
    const perSecond = Math.round(appends.acknowledged / Math.max(1, seconds))
    const unknown = storedBefore + storedByRetry + refusedAtRetry + leftWhole + leftAbsent
    lines.push(
      `appends        ${figure(appends.acknowledged)} acknowledged (${figure(perSecond)}/s), ${figure(appends.acknowledgedEvents)} events; ${figure(appends.repeated)} of them repetitions; ${figure(appends.refused)} refused`,
      `unacknowledged ${figure(unknown)} appends: ${figure(storedBefore)} were stored and their retry confirmed it, ${figure(storedByRetry)} were stored by the retry, ${figure(refusedAtRetry)} refused at the retry, never asked again ${figure(leftWhole + leftAbsent)} (${figure(leftWhole)} whole, ${figure(leftAbsent)} absent)`,
    )
  }
  const width = Math.max(...verdict.proofs.map(({ name }) => name.length))
  for (const { name, looked, complaints } of verdict.proofs) {
    lines.push(`${complaints.length === 0 ? 'holds ' : 'BROKEN'}  ${name.padEnd(width)}  ${looked}`)
    for (const complaint of complaints) lines.push(`          ${complaint}`)
  }
  if (verdict.folder) lines.push(`kept for inspection: ${verdict.folder} (postgres/, journals/, logs/)`)
  lines.push(verdict.ok ? 'all proofs hold' : 'NOT all proofs hold')
  return lines.join('\n')
}
