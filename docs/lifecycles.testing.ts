// docs/lifecycles.md, printed from the lifecycle tables of the aggregates.
import type { AggregateName } from '../domain/aggregates.ts'
import { lifecycles, type Pair, pairsOf, terminalStatusesOf } from '../domain/lifecycle.testing.ts'

const titleOf = (name: string) => `${name[0]?.toUpperCase()}${name.slice(1)}`
const initialStatus = 'none'
const nodeOf = (status: string) => (status === initialStatus ? '[*]' : status)

/** Returns one line per change: several refusals that are stored as the same event are one arrow. */
const arrowsOf = (pairs: readonly Pair[]): string[] => {
  const arrows = pairs.flatMap(({ status, command, outcomes }) =>
    outcomes.flatMap((outcome) =>
      typeof outcome === 'object' && 'events' in outcome
        ? [`${nodeOf(status)} --> ${nodeOf(outcome.next)}: ${command} → ${outcome.events.join(', ')}`]
        : [],
    ),
  )
  return [...new Set(arrows)]
}

const diagramOf = (name: AggregateName): string[] => {
  const ends = terminalStatusesOf(lifecycles[name]).map((status) => `${status} --> [*]`)
  const lines = [...arrowsOf(pairsOf(name)), ...ends].map((line) => `  ${line}`)
  return ['```mermaid', 'stateDiagram-v2', ...lines, '```']
}

/** Returns a row for each command and refusal, or answer without an event, with the statuses in which it is given. */
const refusalRows = (pairs: readonly Pair[]): string[] => {
  const answers = pairs.flatMap(({ status, command, outcomes }) =>
    outcomes.map((outcome) => ({ status, command, answer: answerOf(outcome) })),
  )
  const byCommand = Map.groupBy(answers, ({ command }) => command)
  return [...byCommand].flatMap(([command, given]) =>
    [...Map.groupBy(given, ({ answer }) => answer)].flatMap(([answer, same]) =>
      answer === undefined ? [] : [`| \`${command}\` | ${answer} | ${same.map(({ status }) => status).join(', ')} |`],
    ),
  )
}

const answerOf = (outcome: Pair['outcomes'][number]): string | undefined => {
  if (outcome === 'nothing new') return 'accepted, nothing new'
  if (!outcome.refused) return undefined
  return 'events' in outcome
    ? `\`${outcome.refused}\`, stored as ${outcome.events.join(', ')}`
    : `\`${outcome.refused}\``
}

const sectionOf = (name: AggregateName): string[] => {
  return [
    `## ${titleOf(name)}`,
    '',
    `Stream \`${name}-<id>\`. Code: \`domain/${name}.ts\`, table: \`domain/${name}.lifecycle.ts\`.`,
    '',
    ...diagramOf(name),
    '',
    '| command | answer | in status |',
    '|---|---|---|',
    ...refusalRows(pairsOf(name)),
    '',
  ]
}

/** Returns the whole page. */
export const lifecyclesPage = (): string =>
  [
    '# Lifecycles',
    '',
    'Each aggregate has a status, and the status decides which commands it accepts. A diagram has an arrow for each change:',
    'from the status before to the status after, labelled with the command and the events that are stored. The dot at the',
    'start is the status `none`: the stream has no event yet. A status with an arrow to the dot at the end accepts no further',
    'event. The table under a diagram lists the other answers: refusals with their codes ([errors](errors.md)), refusals that',
    'are stored as events, and commands that are accepted and add nothing new.',
    '',
    'The diagrams and tables are printed from the lifecycle table of each aggregate, such as `domain/rental.lifecycle.ts`.',
    'A table without an entry for each status and each command does not compile, and `domain/lifecycle.spec.ts` holds the',
    'tables equal to the code. `UPDATE=1 npm test -- docs/lifecycles.spec.ts` writes this page; the same test fails when',
    'page and tables differ. What an event holds is listed in [every event](events.md).',
    '',
    ...(Object.keys(lifecycles) as AggregateName[]).flatMap(sectionOf),
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
