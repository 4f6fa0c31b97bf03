import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** A file of the page, compressed with gzip. */
export type StaticFile = { readonly type: string; readonly compressed: Uint8Array }
/** The page and the files that it loads, by path. A path has the hash of what is in the file, so that a browser asks for
 *  it once. */
export type Page = {
  readonly html: string
  readonly etag: string
  readonly files: ReadonlyMap<string, StaticFile>
}

const foreverSeconds = 31_536_000

const make = async (folder: string): Promise<Page> => {
  const worker = new Worker(join(import.meta.dirname, 'graphiql-page/maker.ts'), { workerData: folder })
  try {
    const [page] = (await once(worker, 'message')) as [Page]
    return page
  } finally {
    await worker.terminate()
  }
}

/** Returns the same bytes in the form that the server sends, and no copy. */
const shared = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length)

/** Returns the tag of a file, whose path changes with its content. */
const etagOf = (path: string): string => `"${path.slice(path.lastIndexOf('/') + 1)}"`

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
    made ??= make(folder).catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }

  app.get(`${folder}/:file`, async (request, reply) => {
    const file = (await page()).files.get(request.url)
    if (!file) return reply.callNotFound()
    // Every browser takes it compressed, and for other programs the page is of no use.
    reply.type(file.type).header('content-encoding', 'gzip')
    reply.header('cache-control', `public, max-age=${foreverSeconds}, immutable`).header('etag', etagOf(request.url))
    return reply.send(shared(file.compressed))
  })

  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { html, etag } = await page()
    reply.type('text/html; charset=utf-8').header('etag', etag).header('cache-control', 'no-cache')
    if (request.headers['if-none-match'] === etag) return reply.status(304).send()
    return reply.send(html)
  }
}
