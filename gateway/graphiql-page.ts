import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { graphiqlOptions } from './graphiql.ts'

/** What the page loads, by name. A name has the hash of what is in the file, so that a browser asks for it once. */
type StaticFile = { readonly type: string; readonly compressed: Buffer }
type Page = { readonly html: Buffer; readonly etag: string; readonly files: ReadonlyMap<string, StaticFile> }

const hashDigits = 16
const foreverSeconds = 31_536_000
const compress = promisify(gzip)
const decompress = promisify(gunzip)

const hashOf = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('hex').slice(0, hashDigits)

/** Returns a value for a script within a page: as JSON that cannot end the script. */
const literal = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c')

/** Makes the page and its files, nine megabytes before they are compressed. */
const makePage = async (folder: string): Promise<Page> => {
  const parts = await import('@graphql-yoga/render-graphiql/graphiql')
  const files = new Map<string, StaticFile>()
  const add = async (name: string, ending: string, type: string, content: string | Buffer): Promise<string> => {
    const path = `${folder}/${name}.${hashOf(content)}.${ending}`
    files.set(path, { type, compressed: await compress(content) })
    return path
  }
  const script = 'text/javascript; charset=utf-8'
  const icon = Buffer.from(parts.favicon.slice(parts.favicon.indexOf(',') + 1), 'base64')
  const paths = {
    page: await add('graphiql', 'js', script, parts.js),
    style: await add('graphiql', 'css', 'text/css; charset=utf-8', parts.css),
    icon: await add('icon', 'ico', 'image/x-icon', icon),
  }
  const workers = {
    editorWorkerService: await add('editor', 'js', script, parts.editorWorkerService),
    json: await add('json', 'js', script, parts.jsonWorker),
    graphql: await add('graphql', 'js', script, parts.graphqlWorker),
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
  const bytes = Buffer.from(html)
  return { html: bytes, etag: `"${hashOf(bytes)}"`, files }
}

const acceptsGzip = ({ headers }: FastifyRequest): boolean => /\bgzip\b/.test(headers['accept-encoding'] ?? '')

/** Returns whether a request is that of a browser for the page. A request for the head alone gets that of the page. */
export const wantsPage = ({ method, headers, query }: FastifyRequest): boolean =>
  method === 'HEAD' ||
  (method === 'GET' &&
    (headers.accept ?? '').includes('text/html') &&
    !(query as Readonly<Record<string, unknown>>).query)

/** Adds the files of the GraphiQL page below `folder` to a server. Returns the handler that answers with the page
 *  itself. Both are made at the first request, once, and kept compressed. */
export const addGraphiqlPage = (app: FastifyInstance, folder: string) => {
  let made: Promise<Page> | undefined
  const page = (): Promise<Page> => {
    made ??= makePage(folder)
    return made
  }

  app.get(`${folder}/:file`, async (request, reply) => {
    const file = (await page()).files.get(request.url)
    if (!file) return reply.callNotFound()
    reply.type(file.type).header('vary', 'accept-encoding')
    reply
      .header('cache-control', `public, max-age=${foreverSeconds}, immutable`)
      .header('etag', `"${hashOf(request.url)}"`)
    if (acceptsGzip(request)) return reply.header('content-encoding', 'gzip').send(file.compressed)
    return reply.send(await decompress(file.compressed))
  })

  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { html, etag } = await page()
    reply.type('text/html; charset=utf-8').header('etag', etag).header('cache-control', 'no-cache')
    if (request.headers['if-none-match'] === etag) return reply.status(304).send()
    return reply.send(html)
  }
}
