import { resolve } from 'node:path'
import { expect, test } from '@jest/globals'
import { userPath } from './user-path.ts'

const root = resolve(import.meta.dirname, '..')

test.each([
  ['a file beside the user, though npm runs in the project', 'a.csv', '/users/ada', root, '/users/ada/a.csv'],
  ['a file above the user', '../a.csv', `${root}/docs`, root, `${root}/a.csv`],
  ['a file beside the project, without npm', 'a.csv', undefined, root, `${root}/a.csv`],
  ['a file of another folder, though npm has started what started this', 'a.csv', root, '/tmp', '/tmp/a.csv'],
  ['a whole path', '/data/a.csv', '/users/ada', root, '/data/a.csv'],
])('%s', (_what, path, from, cwd, expected) => expect(userPath(path, { INIT_CWD: from }, cwd)).toBe(expected))
