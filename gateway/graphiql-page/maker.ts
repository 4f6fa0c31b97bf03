// Makes the page in a thread of its own: reading, hashing and compressing nine megabytes takes half a second.
import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import { graphiqlOptions } from '../graphiql.ts'
import type { Page, StaticFile } from '../graphiql-page.ts'

const hashDigits = 16
const hashOf = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('hex').slice(0, hashDigits)

/** Returns a value for a script within a page: as JSON that cannot end the script. */
const literal = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c')

/** Makes the page and its files, nine megabytes before they are compressed. */
const makePage = async (folder: string): Promise<Page> => {
  const parts = await import('@graphql-yoga/render-graphiql/graphiql')
  const files = new Map<string, StaticFile>()
  const add = (name: string, ending: string, type: string, content: string | Buffer): string => {
    const path = `${folder}/${name}.${hashOf(content)}.${ending}`
    files.set(path, { type, compressed: gzipSync(content) })
    return path
  }
  const script = 'text/javascript; charset=utf-8'
  const icon = Buffer.from(parts.favicon.slice(parts.favicon.indexOf(',') + 1), 'base64')
  const paths = {
    page: add('graphiql', 'js', script, parts.js),
    style: add('graphiql', 'css', 'text/css; charset=utf-8', parts.css),
    icon: add('icon', 'ico', 'image/x-icon', icon),
  }
  const workers = {
    editorWorkerService: add('editor', 'js', script, parts.editorWorkerService),
    json: add('json', 'js', script, parts.jsonWorker),
    graphql: add('graphql', 'js', script, parts.graphqlWorker),
  }
  const html = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>${graphiqlOptions.title}</title>
    <link rel="icon" href="${paths.icon}" />
    <link rel="stylesheet" href="${paths.style}" />
  </head>
  <body id="body" class="no-focus-outline">
    <noscript>This page needs JavaScript.</noscript>
    <div id="root"></div>
    <script>
      const workers = ${literal(workers)}
      self.MonacoEnvironment = { globalAPI: false, getWorkerUrl: (_id, label) => workers[label] }
    </script>
    <script src="${paths.page}"></script>
    <script>YogaGraphiQL.renderYogaGraphiQL(document.querySelector('#root'), ${literal(graphiqlOptions)})</script>
  </body>
</html>
`
  return { html, etag: `"${hashOf(html)}"`, files }
}

parentPort?.postMessage(await makePage(String(workerData)))
