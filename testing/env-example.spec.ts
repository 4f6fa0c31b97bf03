import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { settings } from '../infra/config.ts'

const path = join(import.meta.dirname, '..', '.env.example')

const head = `# Every setting, commented out. Copy this file to .env, which npm start, npm run dev and the tools read, and set
# what you need. A variable of the environment goes before the same one of the file.
# Made from infra/config.ts: UPDATE=1 npm test -- testing/env-example.spec.ts writes it.`

/** Links lead into the page that has the same descriptions; a value in words is no value to set. */
const example = (): string => {
  const entries = Object.entries(settings.shape).map(([name, schema]) => {
    const about = schema.meta() as unknown as Record<'description' | 'takes' | 'example' | 'unset', string>
    const description = about.description
      .replaceAll('`', '')
      .replace(/\[([^\]]+)\]\((#[^)]+)\)/, '$1: docs/configuration.md$2')
    const inWords = about.example.includes(' ')
    return [
      `# ${description}`,
      `# Takes ${about.takes}${inWords ? `, for instance ${about.example}` : ''}. When unset: ${about.unset}.`,
      `# ${name}=${inWords ? '' : about.example}`,
    ].join('\n')
  })
  return `${[head, ...entries].join('\n\n')}\n`
}

test('.env.example has every setting with its description and an example (UPDATE=1 writes it)', () => {
  if (process.env.UPDATE === '1') writeFileSync(path, example())
  expect(readFileSync(path, 'utf8')).toBe(example())
})
